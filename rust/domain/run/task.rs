// SPDX-License-Identifier: GPL-2.0

//! Tasks: a place in the order, a work item, and what a worker does with them.
//!
//! From the moment a task counts as finished, nothing of the module that submitted it is used on
//! its behalf: its closures have been consumed and their destructors have run before the
//! submitter's code returns to this file, and what follows here is this module's own, in the order that is
//! [stated once](super::order) for all forms.
//!
//! A task whose memory the caller has brought may free that memory in its own function. Before the
//! function is called, the task's place in the order moves to a node on the worker's stack, and
//! nothing in the caller's memory is touched afterwards.
//!
//! Tasks are queued until the worker of a [dispatcher](super::dispatch) begins with them.

use super::finish::Followup;
use crate::{
    domain::core::{
        context::TaskContext,
        domain::AsyncDomain,
        header::{
            StackNode,
            Task, //
        },
        module_refs::ModuleRefs,
        order::{
            unlink,
            Next, //
        },
        pending::{
            flag,
            Node, //
        },
        queue::Server,
        running::{
            RunningTask,
            Worker, //
        },
        scope_data::ScopeData,
        trace, //
    },
    ffi, //
};
use core::{
    mem::{
        self,
        MaybeUninit, //
    },
    ptr::{
        self,
        NonNull, //
    }, //
};

impl Task {
    /// Discards a task that has been dequeued: drops its closure, and then counts as finished.
    ///
    /// # Safety
    ///
    /// The task must be in the order of its domain, dequeued, and belong to the caller.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    pub(crate) unsafe fn discard(task: NonNull<Self>) {
        // SAFETY: The task belongs to us, and is valid until `finish` frees it.
        unsafe {
            if (*task.as_ptr()).ops.callers_memory {
                Self::discard_item(task, || false);
            } else {
                Finisher::of(task, Thread::Any).discard(task.as_ptr().cast(), task.as_ptr());
            }
        }
    }

    /// As [`Self::discard`], for a task in the caller's memory, unless `put` gives its share in that up.
    ///
    /// `put` is called with the domain's lock held. If it returns `true`, then the task leaves the order under the
    /// same hold of the lock. Others may have freed the memory by then: what is left to be done is on this stack.
    ///
    /// # Safety
    ///
    /// As there. The task must not work for a scope. `put` must return `true` if and only if it has given up what
    /// `ops.discard` would have dropped; it must not drop anything.
    #[inline]
    // Tested by: model done-item-token-shared, mutant item-token-put-early.
    pub(crate) unsafe fn discard_item(task: NonNull<Self>, put: impl FnOnce() -> bool) {
        let this = task.as_ptr();
        let mut stack_node = StackNode::new();
        let node = stack_node.node();

        // SAFETY: The task is prepared and belongs to us. Its domain is valid as long as it is in the order.
        let (mut end, domain) = unsafe {
            stack_node.ops.set(Some((*this).ops));
            (Finisher::of(task, Thread::Any), &*(*this).domain)
        };
        // SAFETY: The task's node is in the order, and not queued. The stack node takes its place, and stays until it
        // has been unlinked, here or by `discard`. The task is claimed, and used no more when `put` gives it up.
        let unlinked = domain.queue.with(|state| unsafe {
            state.pending.replace(&raw mut (*this).node, node);
            Self::unclaim(task);
            put().then(|| unlink(state, node, domain, || end.modules.put()))
        });

        // SAFETY: A task to be retired has just been given to us. If there is no answer, then the stack node is in the
        // order still, and nobody has given up what the task owns.
        unsafe {
            match unlinked {
                Some(Some(next)) => Self::retire_elsewhere(next),
                Some(None) => (),
                None => end.discard(node, ptr::null_mut()),
            }
        }
    }

    /// Runs the task, or its parallel part; returns what is left to be done.
    ///
    /// # Safety
    ///
    /// The task must be prepared, in the order of its domain, and belong to the caller, which is on this
    /// thread. If there is a `server`, then it must be that of this thread, a worker, which has begun with the task.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    pub(crate) unsafe fn execute(
        task: NonNull<Self>,
        thread: Thread<'_>,
        server: Option<&Server>,
    ) -> Followup {
        // SAFETY: The task belongs to us until it is finished, or ready and left to whoever retires
        // it. Its domain is not dropped before the task is finished or detached.
        unsafe {
            let this = task.as_ptr();
            let ops = (*this).ops;
            let end = Finisher::of(task, thread);

            trace::task_start(task);
            if ops.callers_memory {
                let mut own = MaybeUninit::<StackNode>::uninit();
                let node = match server {
                    // The worker has put it there.
                    Some(server) => server.stack_node().cast(),
                    None => {
                        let stack_node = own.write(StackNode::new());

                        stack_node.ops.set(Some(ops));
                        let node = stack_node.node();
                        (*end.domain).queue.with(|state| {
                            state.pending.replace(&raw mut (*this).node, node);
                        });
                        node
                    }
                };
                // The claim is that of the submission which ends here: the caller's code may queue the
                // task again, or free it.
                Task::unclaim(task);
                let attached = end.enter(node, |context| (ops.run)(task, context));
                end.finish(node, attached, ptr::null_mut(), server)
            } else {
                let node = &raw mut (*this).node;

                (*this).worker.set(match thread {
                    Thread::Worker(worker) => worker.pid(),
                    Thread::Any => ffi::current_pid(),
                });
                let attached = end.enter(node, |context| (ops.run)(task, context));

                match ops.retire {
                    Some(retire) if !attached => {
                        // The task has dropped its domain: there is no order any more.
                        end.enter_detached(node, |context| retire(task, context));
                        end.finish(node, false, this, server)
                    }
                    Some(_) => {
                        mem::forget(end.modules);
                        (*this).worker.clear();
                        Followup {
                            next: (*end.domain).ready(task, server),
                            memory: ptr::null_mut(),
                        }
                    }
                    None => end.finish(node, attached, this, server),
                }
            }
        }
    }

    /// Runs a task that has been dequeued, in the context of the caller, which waits for it.
    ///
    /// # Safety
    ///
    /// The task must be in the order of its domain, dequeued, and belong to the caller, which must be
    /// in process context.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    pub(crate) unsafe fn execute_here(task: NonNull<Self>) {
        // SAFETY: By the caller's promise.
        unsafe { Self::execute(task, Thread::Any, None).defer() }
    }

    /// Runs the in-order part of a task; returns what is left to be done.
    ///
    /// # Safety
    ///
    /// The task must be first in the order of its domain, and have been given to the caller to be
    /// retired, which is the worker; if there is a `server`, then it must be that of this thread.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    pub(crate) unsafe fn retire(
        task: NonNull<Self>,
        worker: &Worker,
        server: Option<&Server>,
    ) -> Followup {
        // SAFETY: As in `execute`.
        unsafe {
            let this = task.as_ptr();
            let node = &raw mut (*this).node;
            let end = Finisher::of(task, Thread::Worker(worker));
            let retire = (*this).ops.retire;

            trace::task_retire(task);
            (*this).worker.set(worker.pid());
            let attached = end.enter(node, |context| {
                if let Some(retire) = retire {
                    retire(task, context);
                }
            });

            end.finish(node, attached, this, server)
        }
    }
}

/// The thread that runs a task.
#[derive(Clone, Copy)]
pub(crate) enum Thread<'a> {
    /// A worker.
    Worker(&'a Worker),
    /// Any, which may be inside a task, or in an interrupt.
    Any,
}

/// What is needed to bring a task to its end, without the task.
struct Finisher<'a> {
    task: NonNull<Task>,
    domain: *const AsyncDomain,
    modules: ModuleRefs,
    module: *mut ffi::module,
    scope: *const ScopeData,
    thread: Thread<'a>,
}

impl<'a> Finisher<'a> {
    /// # Safety
    ///
    /// The task must be prepared and belong to the caller. There must be one `Finisher` only that is not
    /// forgotten.
    // Tested by: kunit tasks_that_have_dropped_their_domain_hold_their_module, kunit
    //   either_part_can_drop_the_domain.
    unsafe fn of(task: NonNull<Task>, thread: Thread<'a>) -> Self {
        // SAFETY: The task is valid, and the references that `prepare` took are ours.
        unsafe {
            let this = task.as_ptr();
            let module = (*this).ops.module;

            Self {
                task,
                domain: (*this).domain,
                modules: (*this).holds.into_refs(module),
                module,
                scope: (*this).holds.scope(),
                thread,
            }
        }
    }

    /// Runs the code of a task; returns whether it is still in the order of its domain.
    ///
    /// # Safety
    ///
    /// `node` must be the place of the task, and the caller be on the thread of this end.
    // Tested by: kunit tasks_that_have_dropped_their_domain_hold_their_module, kunit
    //   either_part_can_drop_the_domain.
    unsafe fn enter(&self, node: *mut Node, f: impl FnOnce(&TaskContext<'_>)) -> bool {
        let f = |run: &RunningTask| f(&TaskContext::new(run));

        // SAFETY: The domain is valid: the node is in its order.
        unsafe {
            match self.thread {
                Thread::Worker(worker) => AsyncDomain::lockdep_task(self.domain, || {
                    worker.enter(self.domain, node, self.opener(), f)
                }),
                // Lockdep may know of this domain already.
                Thread::Any => RunningTask::enter_nested(self.domain, node, self.opener(), f),
            }
        }
    }

    /// The open scope that the task belongs to, or null.
    #[inline]
    // Tested by: mutant scope-forgets-opener.
    fn opener(&self) -> *const RunningTask {
        // SAFETY: A scope is valid until its last task has left it.
        unsafe { self.scope.as_ref() }.map_or(ptr::null(), |scope| scope.opener)
    }

    /// Runs code of a task that has dropped its domain.
    ///
    /// # Safety
    ///
    /// As above.
    // Tested by: kunit tasks_that_have_dropped_their_domain_hold_their_module, kunit
    //   either_part_can_drop_the_domain.
    unsafe fn enter_detached(&self, node: *mut Node, f: impl FnOnce(&TaskContext<'_>)) {
        let f = |run: &RunningTask| f(&TaskContext::new(run));

        // SAFETY: There is no domain in whose order the node would have to be.
        unsafe {
            match self.thread {
                Thread::Worker(worker) => worker.enter(ptr::null(), node, self.opener(), f),
                Thread::Any => RunningTask::enter_nested(ptr::null(), node, self.opener(), f),
            }
        };
    }

    /// Counts the task as finished, and tells whom it worked for; returns what is left to be done.
    ///
    /// # Safety
    ///
    /// If `attached`, then `node` must be in the order of the domain. `memory` must be null or the
    /// allocation of the task, which belongs to the caller. `server` as for [`Task::execute`].
    // Tested by: kunit tasks_that_have_dropped_their_domain_hold_their_module, kunit
    //   either_part_can_drop_the_domain.
    unsafe fn finish(
        self,
        node: *mut Node,
        attached: bool,
        memory: *mut Task,
        server: Option<&Server>,
    ) -> Followup {
        let modules = self.modules;
        let settle = || {
            // SAFETY: The task was run or discarded. If its memory is not the caller's, then it is still there.
            unsafe {
                if let Some(settle) = memory.as_ref().and_then(|task| task.ops.settle) {
                    settle(NonNull::new_unchecked(memory));
                }
            }
            drop(modules);
        };

        // SAFETY: By the caller's promise. The domain may be gone after `finish`. A scope is valid
        // until its last task has left it.
        let next = unsafe {
            let next = if attached {
                (*self.domain).finish(node, server, settle)
            } else {
                let shared = (*node).has(flag::SHARED);

                settle();
                if shared {
                    // It got this one when its domain was dropped.
                    drop(ModuleRefs::from_domain(self.module));
                }
                Next::Nothing
            };

            if let Some(scope) = self.scope.as_ref() {
                scope.remove_task();
            }
            next
        };
        Followup { next, memory }
    }

    /// Drops what the task is made of, and brings it to its end, outside of a worker.
    ///
    /// The dropping happens inside the task, so that a destructor that waits for it is told so.
    ///
    /// # Safety
    ///
    /// `node` must be the place of the task, and in the order of the domain. `memory` must be null
    /// or an allocation that belongs to the caller.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    unsafe fn discard(self, node: *mut Node, memory: *mut Task) {
        // SAFETY: By the caller's promise. A task that is to be retired belongs to us. In an
        // interrupt, `RunningTask` does not look at the thread.
        unsafe {
            let discard = (*self.task.as_ptr()).ops.discard;
            let task = self.task;
            let attached =
                RunningTask::enter_nested(self.domain, node, self.opener(), |_| discard(task));

            self.finish(node, attached, memory, None).defer();
        }
    }
}
