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

use super::finish::{
    Followup,
    Memory, //
};
use crate::{
    domain::core::{
        context::TaskContext,
        cookie::AllBelow,
        domain::{
            AsyncDomain,
            State, //
        },
        header::{
            Ops,
            Owned,
            StackNode,
            Task,
            TaskRef,
            ToRetire,
            ToRun, //
        },
        module_refs::ModuleRefs,
        order::{
            unlink,
            Next, //
        },
        pending::{
            flag,
            Node,
            NodeRef, //
        },
        queue::Server,
        running::{
            RunningTask,
            Worker, //
        },
        scope_data::ScopeData,
        trace, //
    },
    ffi,
    wait::Locked, //
};
use core::{
    mem::{
        self,
        MaybeUninit, //
    },
    ptr, //
};
use kernel::prelude::*;

impl Task {
    /// Discards a task that has been dequeued: drops its closure, and then counts as finished.
    ///
    /// The dropping happens inside the task, so that a destructor that waits for it is told so.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    pub(crate) fn discard(task: Owned<ToRun>) {
        // SAFETY: Nothing is given up.
        unsafe { Self::discard_unless(task, || false) }
    }

    /// As [`Self::discard`], unless `put` gives up what a task in the caller's memory owns.
    ///
    /// `put` is called with the domain's lock held. If it returns `true`, then the task leaves the order under the
    /// same hold of the lock. Others may have freed the memory by then: what is left to be done is on this stack.
    ///
    /// # Safety
    ///
    /// `put` must return `true` if and only if it has given up what `ops.discard` would have dropped; it must not drop
    /// anything. The task must then work for no scope.
    #[inline]
    // Tested by: model done-item-token-shared, mutant item-token-put-early.
    pub(crate) unsafe fn discard_unless(task: Owned<ToRun>, put: impl FnOnce() -> bool) {
        let mut stack_node = MaybeUninit::uninit();
        let mut end = Finisher::new(task, Thread::Any);

        if end.ops.callers_memory {
            let unlinked = end.move_to(&mut stack_node, |end, domain, state| {
                // SAFETY: The stack node is in the order of the domain, whose lock is held, and stays until it is not.
                put().then(|| unsafe {
                    unlink(state, NodeRef::new(end.node), domain, || end.modules.put())
                })
            });
            if let Some(next) = unlinked {
                if let Some(next) = next {
                    Self::retire_elsewhere(next);
                }
                return;
            }
        }
        end.call(Part::Discard);
        // SAFETY: There is no server.
        unsafe { end.finish(None) }.defer();
    }

    /// Runs the task, or its parallel part; returns what is left to be done.
    ///
    /// # Safety
    ///
    /// If there is a `server`, then it must be that of this thread, a worker, which has begun with the task.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    pub(crate) unsafe fn execute(
        task: Owned<ToRun>,
        thread: Thread<'_>,
        server: Option<&Server>,
    ) -> Followup {
        trace::task_start(&task);
        let mut stack_node = MaybeUninit::uninit();
        let mut end = Finisher::new(task, thread);

        if end.ops.callers_memory {
            match server {
                // SAFETY: The worker has put it there, and the server stays.
                Some(server) => unsafe { end.leave_memory(server.stack_node().cast()) },
                None => end.move_to(&mut stack_node, |_, _, _| ()),
            }
        } else {
            end.task.worker.set(thread.pid());
        }
        end.call(Part::Run);
        if end.ops.retire.is_some() {
            if end.is_attached() {
                // SAFETY: The server is that of this thread.
                return unsafe { end.ready(server) };
            }
            // The task has dropped its domain: there is no order any more.
            end.call(Part::Retire);
        }
        // SAFETY: The server is that of this thread.
        unsafe { end.finish(server) }
    }

    /// Runs a task that has been dequeued, in the context of the caller, which waits for it.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    pub(crate) fn execute_here(task: Owned<ToRun>) {
        // SAFETY: There is no server.
        unsafe { Self::execute(task, Thread::Any, None) }.defer()
    }

    /// Runs the in-order part of a task; returns what is left to be done.
    ///
    /// # Safety
    ///
    /// If there is a `server`, then it must be that of this thread, which is the worker.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    pub(crate) unsafe fn retire(
        task: Owned<ToRetire>,
        worker: &Worker,
        server: Option<&Server>,
    ) -> Followup {
        trace::task_retire(&task);
        let mut end = Finisher::new(task, Thread::Worker(worker));

        end.task.worker.set(worker.pid());
        end.call(Part::Retire);
        // SAFETY: The server is that of this thread.
        unsafe { end.finish(server) }
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

impl Thread<'_> {
    #[inline]
    fn pid(self) -> c_int {
        match self {
            Self::Worker(worker) => worker.pid(),
            Self::Any => ffi::current_pid(),
        }
    }
}

/// What is called of a task.
#[derive(Clone, Copy)]
enum Part {
    Run,
    Retire,
    Discard,
}

/// A task on the way to its end, and what is needed there when the task is gone.
///
/// # Invariants
///
/// - The task belongs to who has this, and so do `modules`, which it holds.
/// - `node` is the place of the task: its own, or one on a stack that stays for `'a`.
/// - `node` is in the order of `domain`, unless that is null, since the task has dropped its domain.
/// - The scope is valid, which the task has yet to leave.
struct Finisher<'a> {
    /// Not used after its code was called, if its memory is the caller's.
    task: TaskRef<'static>,
    ops: &'static Ops,
    domain: *const AsyncDomain,
    node: *mut Node,
    modules: ModuleRefs,
    scope: Option<&'a ScopeData>,
    thread: Thread<'a>,
}

impl<'a> Finisher<'a> {
    #[inline]
    // Tested by: kunit tasks_that_have_dropped_their_domain_hold_their_module, kunit
    //   either_part_can_drop_the_domain.
    fn new<S>(task: Owned<S>, thread: Thread<'a>) -> Self {
        let task = task.into_task();
        let (ops, holds) = (task.ops, task.holds);
        // SAFETY: The task was prepared, and belonged to the caller, which has given it up for this. The scope is
        // valid until its last task has left it.
        let (modules, scope) = unsafe { (holds.into_refs(ops.module), holds.scope().as_ref()) };

        // INVARIANT: The task is in the order of its domain, in its own place.
        Self {
            task,
            ops,
            domain: task.domain,
            node: task.place().as_ptr().as_ptr(),
            modules,
            scope,
            thread,
        }
    }

    /// Moves the place of the task, whose memory is the caller's, to a node on the stack; calls `then` under the same
    /// hold of the domain's lock.
    #[inline]
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    fn move_to<R>(
        &mut self,
        stack_node: &'a mut MaybeUninit<StackNode>,
        then: impl FnOnce(&mut Self, &AsyncDomain, &mut Locked<'_, State, AllBelow>) -> R,
    ) -> R {
        let stack_node = stack_node.write(StackNode::new());

        stack_node.ops.set(Some(self.ops));
        let node = stack_node.node();
        // SAFETY: The task is in the order of the domain, which is valid meanwhile.
        let domain = unsafe { &*self.domain };
        domain.queue.with(|state| {
            // SAFETY: The task is in the order, and not queued. The new node is in none, and borrowed as long as there
            // is anything to be finished.
            unsafe {
                state.pending.replace(self.task.place(), NodeRef::new(node));
                self.leave_memory(node);
            }
            then(self, domain, state)
        })
    }

    /// The place of the task, whose memory is the caller's, has moved to a node on the stack.
    ///
    /// # Safety
    ///
    /// `node` must be that one, and stay for `'a`.
    #[inline]
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    unsafe fn leave_memory(&mut self, node: *mut Node) {
        // INVARIANT: The caller promises it.
        self.node = node;
        // The claim is that of the submission which ends here: the caller's code may queue the task again,
        // or free it.
        //
        // SAFETY: The task was claimed to be submitted, and its own node is in no order any more.
        unsafe { Task::unclaim(self.task.as_ptr()) };
    }

    /// Whether the task is still in the order of its domain.
    #[inline]
    fn is_attached(&self) -> bool {
        !self.domain.is_null()
    }

    /// Calls the code of the task, inside of it.
    #[inline]
    // Tested by: kunit tasks_that_have_dropped_their_domain_hold_their_module, kunit
    //   either_part_can_drop_the_domain.
    fn call(&mut self, part: Part) {
        let (task, ops) = (self.task.as_ptr(), self.ops);
        let f = |run: &RunningTask| {
            let context = &TaskContext::new(run);

            // SAFETY: The task belongs to us. It is run, or discarded, once, and retired after that.
            unsafe {
                match (part, ops.retire) {
                    (Part::Run, _) => (ops.run)(task, context),
                    (Part::Retire, Some(retire)) => retire(task, context),
                    (Part::Retire, None) => (),
                    (Part::Discard, _) => (ops.discard)(task),
                }
            }
        };

        let (domain, node, opener) = (self.domain, self.node, self.opener());
        // SAFETY: The node is in the order of the domain, unless there is none. The thread is this one.
        let attached = unsafe {
            match self.thread {
                Thread::Worker(worker) => {
                    AsyncDomain::lockdep_task(domain, || worker.enter(domain, node, opener, f))
                }
                // Lockdep may know of this domain already.
                Thread::Any => RunningTask::enter_nested(domain, node, opener, f),
            }
        };
        if !attached {
            // INVARIANT: The task has dropped its domain.
            self.domain = ptr::null();
        }
    }

    /// The open scope that the task belongs to, or null.
    #[inline]
    fn opener(&self) -> *const RunningTask {
        self.scope.map_or(ptr::null(), |scope| scope.opener)
    }

    /// The parallel part is done, of a task that has an in-order part; returns what is left to be done.
    ///
    /// # Safety
    ///
    /// The task must be attached; `server` as for [`Task::execute`].
    #[inline]
    // Tested by: mutant retired-when-ready, mutant ready-looked-before-set.
    unsafe fn ready(self, server: Option<&Server>) -> Followup {
        mem::forget(self.modules);
        self.task.worker.clear();
        // SAFETY: The task is in the order of the domain, and ours until then.
        let next = unsafe { (*self.domain).ready(self.task, server) };
        Followup {
            next,
            memory: Memory::NONE,
        }
    }

    /// Counts the task as finished, and tells whom it worked for; returns what is left to be done.
    ///
    /// # Safety
    ///
    /// The task must have been run, and retired if it has an in-order part, or discarded. `server` as for
    /// [`Task::execute`].
    // Tested by: kunit tasks_that_have_dropped_their_domain_hold_their_module, kunit
    //   either_part_can_drop_the_domain.
    unsafe fn finish(self, server: Option<&Server>) -> Followup {
        let Self {
            task, ops, modules, ..
        } = self;
        let settle = || {
            if let Some(settle) = ops.settle {
                // SAFETY: The task was run or discarded, and is still there: its memory is not the caller's.
                unsafe { settle(task.as_ptr()) };
            }
            drop(modules);
        };

        let next = if self.domain.is_null() {
            // SAFETY: The node is ours. If it shared the domain's reference, then it got one of its own when its domain
            // was dropped.
            let shared = unsafe {
                (*self.node)
                    .has(flag::SHARED)
                    .then(|| ModuleRefs::from_domain(ops.module))
            };

            settle();
            drop(shared);
            Next::Nothing
        } else {
            // SAFETY: The node is in the order of the domain, which may be gone afterwards. The server is that of
            // this thread.
            unsafe { (*self.domain).finish(self.node, server, settle) }
        };

        if let Some(scope) = self.scope {
            scope.remove_task();
        }
        // SAFETY: The task has finished.
        let memory = unsafe { Memory::of(task.as_ptr(), ops) };
        Followup { next, memory }
    }
}
