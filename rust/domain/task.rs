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

use super::{
    dispatch::Server,
    modules::{
        is_held_by,
        KeptRef,
        KeptRefs,
        ModuleRefs, //
    },
    order::Next,
    pending::{
        flag,
        Node, //
    },
    running::{
        Run,
        Worker, //
    },
    scope::Gathering,
    trace,
    worker_id::WorkerId,
    AsyncDomain,
    Context, //
};
use crate::{
    ffi,
    queue, //
};
use core::{
    cell::Cell,
    mem::{
        self,
        MaybeUninit, //
    },
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    container_of,
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Release, //
        },
        Atomic, //
    },
    types::Opaque, //
};

/// What can be done with a task of some type: its code, all in the module that submits it.
///
/// # Safety
///
/// Implemented by constants only, whose functions keep the contracts below, and whose `module` is
/// the one in which they are.
pub(super) struct Ops {
    /// Runs the task, or its parallel part, and consumes its closure. Called once for each time that
    /// the task is queued, unless `discard` is.
    pub(super) run: unsafe fn(NonNull<Task>, &Context<'_>),
    /// Runs the in-order part of the task, once, after `run`; `None` if it has none.
    pub(super) retire: Option<unsafe fn(NonNull<Task>, &Context<'_>)>,
    /// Drops what `run` would have consumed.
    pub(super) discard: unsafe fn(NonNull<Task>),
    /// Tells, after `run` or `discard`, what others may know when the task is done; called with the domain's lock
    /// held. Not for a task in memory that the caller has brought.
    pub(super) settle: Option<unsafe fn(NonNull<Task>)>,
    /// Whether the task is in memory that the caller has brought.
    pub(super) callers_memory: bool,
    /// The module whose code this is.
    pub(super) module: *mut ffi::module,
}

// SAFETY: It is not changed.
// Tested by: nothing.
unsafe impl Sync for Ops {}

/// For whom a task works, and what is told when it has finished.
#[derive(Clone, Copy)]
pub(super) enum For {
    /// The submitter and the owner of the domain, whose modules cannot be unloaded until then.
    Modules(KeptRefs),
    /// The same, where both are one module: the domain holds it for all such tasks ([`flag::SHARED`]).
    Domain,
    /// A scope, whose frame is not left until then, and the submitter, if it is another module than that of
    /// the frame.
    Scope(*const Gathering, KeptRef),
}

impl For {
    /// Takes over what is held on behalf of a task of this submitter.
    ///
    /// # Safety
    ///
    /// [`Task::prepare`] must have said so of a task with that module; it is taken over once.
    #[inline]
    // Tested by: kunit unfinished_tasks_hold_their_module, kunit
    //   tasks_of_another_module_than_the_frame_hold_it.
    unsafe fn into_refs(self, submitter: *mut ffi::module) -> ModuleRefs {
        // SAFETY: By the caller's promise.
        unsafe {
            match self {
                Self::Modules(kept) => ModuleRefs::from_kept(submitter, kept),
                Self::Domain => ModuleRefs::none(),
                Self::Scope(_, kept) => kept.into_refs(submitter),
            }
        }
    }

    /// The scope, or null.
    #[inline]
    fn scope(&self) -> *const Gathering {
        match *self {
            Self::Scope(scope, _) => scope,
            Self::Modules(_) | Self::Domain => ptr::null(),
        }
    }
}

/// The part of a task that is the same for all of them.
///
/// # Invariants
///
/// - `node` has [`flag::TASK`] set, or [`flag::TOKEN`], while it is in an order.
/// - While the task is queued or running, `domain` is the one in whose order `node` is, and `for_`
///   is valid.
/// - Unless `ops.callers_memory`, the task is the start of an allocation that is freed when it has finished.
#[repr(C)]
pub(super) struct Task {
    /// The place in the order.
    pub(super) node: Node,
    /// For what is left to a worker other than to run the task; initialised then.
    work: Opaque<ffi::work_struct>,
    pub(super) ops: &'static Ops,
    pub(super) domain: *const AsyncDomain,
    pub(super) for_: For,
    queued: Atomic<bool>,
    /// The NUMA node on which it is to run, or [`ffi::NUMA_NO_NODE`].
    nid: i16,
    /// The worker that runs the task, unless its place is on the stack of that.
    pub(super) worker: WorkerId,
}

// CAST: It is -1, and the numbers of nodes are small.
const NO_NID: i16 = ffi::NUMA_NO_NODE as i16;
const _: () = assert!(ffi::MAX_NUMNODES <= i16::MAX as u32);

/// The place in the order of a task in the caller's memory while it runs, on the stack of its worker.
#[repr(C)]
pub(super) struct StackNode {
    node: Node,
    /// The functions of the task, if it has any. Changed under the domain's lock, or while the node is in
    /// no list.
    pub(super) ops: Cell<Option<&'static Ops>>,
    /// The thread that runs the task.
    pub(super) pid: c_int,
}

impl StackNode {
    /// Makes a node that is in no list, for the current thread.
    #[inline]
    pub(super) fn new() -> Self {
        Self {
            node: Node::new(flag::STACK),
            ops: Cell::new(None),
            pid: ffi::current_pid(),
        }
    }

    /// What is in the order.
    #[inline]
    pub(super) fn node(&mut self) -> *mut Node {
        ptr::from_mut(self).cast()
    }
}

impl Task {
    /// Initialises a task.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writing, and the start of what the functions of `ops` expect.
    // Tested by: mutant item-claimed-twice, mutant item-given-back-early.
    pub(super) unsafe fn init(this: *mut Self, ops: &'static Ops) {
        // SAFETY: `this` is valid for writing.
        unsafe {
            (&raw mut (*this).node).write(Node::new(flag::TASK));
            (&raw mut (*this).ops).write(ops);
            (&raw mut (*this).domain).write(ptr::null());
            (&raw mut (*this).for_).write(For::Modules(KeptRefs::NONE));
            (&raw mut (*this).queued).write(Atomic::new(false));
            (&raw mut (*this).nid).write(NO_NID);
            (&raw mut (*this).worker).write(WorkerId::new());
        }
    }

    /// Claims a task in the caller's memory for being queued; `false` if it is queued already.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    // Tested by: mutant item-claimed-twice, mutant item-given-back-early.
    pub(super) unsafe fn claim(this: NonNull<Self>) -> bool {
        // Acquire: who may queue it again sees what the worker did that took it off the queue.
        //
        // SAFETY: The caller promises that `this` is valid.
        !unsafe { (*this.as_ptr()).queued.xchg(true, Acquire) }
    }

    /// Gives a claim up.
    ///
    /// # Safety
    ///
    /// `this` must be valid and claimed, and not be queued any more.
    // Tested by: mutant item-claimed-twice, mutant item-given-back-early.
    pub(super) unsafe fn unclaim(this: NonNull<Self>) {
        // SAFETY: The caller promises that `this` is valid.
        unsafe { (*this.as_ptr()).queued.store(false, Release) };
    }

    /// Says to which domain a task goes, and for whom it works. Takes the references on modules.
    ///
    /// # Safety
    ///
    /// The task must be valid and belong to the caller; `scope` must be null or outlive the task.
    #[inline]
    // Tested by: kunit unfinished_tasks_hold_their_module, kunit
    //   tasks_of_another_module_than_the_frame_hold_it.
    pub(super) unsafe fn prepare(
        this: NonNull<Self>,
        domain: &AsyncDomain,
        scope: *const Gathering,
    ) -> Result {
        // SAFETY: The task belongs to the caller. Its module is running; the owner of the domain is
        // valid by the domain's invariant.
        unsafe {
            let this = this.as_ptr();
            let module = (*this).ops.module;

            (*this).domain = domain;
            (*this).for_ = if let Some(gathering) = scope.as_ref() {
                For::Scope(scope, gathering.hold(module)?)
            } else if is_held_by(domain, module) {
                For::Domain
            } else {
                For::Modules(KeptRefs::get(module, domain)?)
            };
            (*this).node.reset(match (*this).for_ {
                For::Domain => flag::TASK | flag::SHARED,
                For::Modules(_) | For::Scope(..) => flag::TASK,
            });
        }
        Ok(())
    }

    /// Takes back what [`Self::prepare`] has done.
    ///
    /// # Safety
    ///
    /// The task must be prepared, and belong to the caller.
    // Tested by: kunit unfinished_tasks_hold_their_module, kunit
    //   tasks_of_another_module_than_the_frame_hold_it.
    pub(super) unsafe fn unprepare(this: NonNull<Self>) {
        // SAFETY: As above.
        drop(unsafe { (*this.as_ptr()).for_.into_refs((*this.as_ptr()).ops.module) });
    }

    /// The work item of a task.
    ///
    /// # Safety
    ///
    /// The task must be valid.
    // Tested by: kunit scopes_nest_in_tasks_of_the_same_domain, kunit tokens_and_unknown_cookies_are_left.
    unsafe fn work(this: NonNull<Self>) -> *mut ffi::work_struct {
        // SAFETY: By the caller's promise.
        Opaque::cast_into(unsafe { &raw const (*this.as_ptr()).work })
    }

    /// The task that a work item is in.
    ///
    /// # Safety
    ///
    /// It must be in one.
    // Tested by: kunit scopes_nest_in_tasks_of_the_same_domain, kunit tokens_and_unknown_cookies_are_left.
    unsafe fn with_work(work: *mut ffi::work_struct) -> NonNull<Self> {
        let work: *mut Opaque<ffi::work_struct> = work.cast();

        // SAFETY: By the caller's promise.
        unsafe { NonNull::new_unchecked(container_of!(work, Self, work)) }
    }

    /// Says on which node the task is to run, a valid one, or [`ffi::NUMA_NO_NODE`].
    ///
    /// # Safety
    ///
    /// The task must be valid and belong to the caller.
    #[inline]
    // Tested by: mutant placement-ignored, kunit tasks_run_where_they_were_asked_to.
    pub(super) unsafe fn set_nid(this: NonNull<Self>, nid: c_int) {
        // CAST: It fits, as asserted above.
        //
        // SAFETY: The task belongs to the caller.
        unsafe { (*this.as_ptr()).nid = nid as i16 };
    }

    /// The node on which the task is to run, or [`ffi::NUMA_NO_NODE`].
    ///
    /// # Safety
    ///
    /// The task must be valid, and queued; the domain's lock must be held.
    #[inline]
    // Tested by: mutant placement-ignored, kunit tasks_run_where_they_were_asked_to.
    pub(super) unsafe fn nid(this: NonNull<Self>) -> c_int {
        // SAFETY: The task is valid, and nobody changes this while it is queued.
        unsafe { (*this.as_ptr()).nid }.into()
    }

    /// Has the task retired by a worker of its own.
    ///
    /// # Safety
    ///
    /// The task must be in the order of its domain, and have been given to the caller to be retired.
    #[cold]
    #[inline(never)]
    // Tested by: model domain-ordered-behind-token, kunit mixed_with_tokens_and_plain_tasks.
    pub(super) unsafe fn retire_elsewhere(this: NonNull<Self>) {
        // SAFETY: The work item is not queued: a task is given away to be retired once. It is valid until the
        // task has retired.
        unsafe {
            let work = Self::work(this);

            ffi::init_work::<Retirement>(work);
            queue::enqueue_retirement(work);
        }
    }

    /// Has a worker finish the token of an item, where locks cannot sleep; says whether it has.
    ///
    /// # Safety
    ///
    /// The task must be in the order of its domain, with a token that is not used any more.
    #[cfg(CONFIG_PREEMPT_RT)]
    // Tested by: model domain-ordered-behind-token, kunit mixed_with_tokens_and_plain_tasks.
    pub(super) unsafe fn leave_token(this: NonNull<Self>) -> bool {
        // SAFETY: The work item is not queued: the token is finished once, and an item has no in-order part. It is
        // valid until the item is dropped.
        unsafe { queue::defer::<LeftToken>(Self::work(this)) }
    }

    /// Whether the task works for this scope.
    ///
    /// # Safety
    ///
    /// The task must be valid and prepared.
    // Tested by: kunit scopes_nest_in_tasks_of_the_same_domain, kunit tokens_and_unknown_cookies_are_left.
    pub(super) unsafe fn is_of(this: NonNull<Self>, scope: &Gathering) -> bool {
        // SAFETY: By the caller's promise.
        ptr::eq(unsafe { (*this.as_ptr()).for_.scope() }, scope)
    }

    /// Discards a task that has been dequeued: drops its closure, and then counts as finished.
    ///
    /// # Safety
    ///
    /// The task must be in the order of its domain, dequeued, and belong to the caller.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    pub(super) unsafe fn discard(task: NonNull<Self>) {
        // SAFETY: The task belongs to us, and is valid until `finish` frees it.
        unsafe {
            let this = task.as_ptr();
            let end = End::of(task, Thread::Any);

            if (*this).ops.callers_memory {
                let mut stack_node = StackNode::new();

                stack_node.ops.set(Some((*this).ops));
                let node = stack_node.node();
                (*end.domain).replace(&raw mut (*this).node, node);
                Task::unclaim(task);
                end.discard(node, ptr::null_mut());
            } else {
                end.discard(&raw mut (*this).node, this);
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
    unsafe fn execute(task: NonNull<Self>, thread: Thread<'_>, server: Option<&Server>) -> Left {
        // SAFETY: The task belongs to us until it is finished, or ready and left to whoever retires
        // it. Its domain is not dropped before the task is finished or detached.
        unsafe {
            let this = task.as_ptr();
            let ops = (*this).ops;
            let end = End::of(task, thread);

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
                        (*end.domain).replace(&raw mut (*this).node, node);
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
                        Left {
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
    pub(super) unsafe fn execute_here(task: NonNull<Self>) {
        // SAFETY: By the caller's promise.
        unsafe { Self::execute(task, Thread::Any, None).leave() }
    }

    /// Runs the in-order part of a task; returns what is left to be done.
    ///
    /// # Safety
    ///
    /// The task must be first in the order of its domain, and have been given to the caller to be
    /// retired, which is the worker; if there is a `server`, then it must be that of this thread.
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    unsafe fn retire(task: NonNull<Self>, worker: &Worker, server: Option<&Server>) -> Left {
        // SAFETY: As in `execute`.
        unsafe {
            let this = task.as_ptr();
            let node = &raw mut (*this).node;
            let end = End::of(task, Thread::Worker(worker));
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

    /// Does what a worker has to do next, one task after the other, so that the depth of the stack does
    /// not depend on their number.
    ///
    /// # Safety
    ///
    /// It must belong to the caller, which is the worker, and not be the task whose work item the worker runs.
    /// If there is a `server`, then it must be that of this thread.
    // Tested by: mutant own-memory-freed-before-retiring, model dispatcher-ordered.
    unsafe fn go_on(mut next: Next, worker: &Worker, server: Option<&Server>) {
        loop {
            // SAFETY: The task was just given to us. If its memory comes back, then it has finished, and
            // the memory is ours.
            unsafe {
                let left = match next {
                    Next::Run(task) => Self::execute(task, Thread::Worker(worker), server),
                    Next::Retire(task) => Self::retire(task, worker, server),
                    Next::Nothing => return,
                };

                ffi::kfree(left.memory.cast());
                next = left.next;
            }
            ffi::cond_resched();
        }
    }

    /// Runs a task, and then others of its domain as long as the server takes them.
    ///
    /// # Safety
    ///
    /// The task must have been begun by the caller, a worker that is inside no task, and whose work item
    /// is in nobody's memory. `server` must be that of this thread.
    // Tested by: mutant own-memory-freed-before-retiring, model dispatcher-ordered.
    pub(super) unsafe fn serve(task: NonNull<Self>, server: &Server) {
        // SAFETY: The caller has begun with the task for this server, and runs no work item of a task.
        unsafe { Self::go_on(Next::Run(task), &Worker::new(), Some(server)) }
    }
}

/// A task that is retired by a worker of its own.
struct Retirement;

// SAFETY: `run` does not touch the work item after it may have been freed.
// Tested by: kunit tasks_run_where_they_were_asked_to, kunit an_item_submits_itself_again.
unsafe impl ffi::WorkFunction for Retirement {
    // Tested by: kunit tasks_run_where_they_were_asked_to, kunit an_item_submits_itself_again.
    unsafe fn run(work: *mut ffi::work_struct) {
        // The workqueue tells by the address and function of an item what this worker is running, until we
        // return: another task at the same address would be left to this worker, and what we retire from here on
        // may wait for that task. So the memory is freed last.
        //
        // SAFETY: Work items with this function are in a `Task`, which is in the order of its domain, and was
        // queued by a thread that was given it to be retired.
        unsafe {
            let task = Task::with_work(work);
            let worker = Worker::new();

            Task::retire(task, &worker, None).go_on(&worker);
        }
    }
}

/// The token of an item that is finished, and the item dropped, by a worker.
#[cfg(CONFIG_PREEMPT_RT)]
struct LeftToken;

#[cfg(CONFIG_PREEMPT_RT)]
// SAFETY: `run` does not touch the work item after it may have been freed.
// Tested by: kunit tasks_run_where_they_were_asked_to, kunit an_item_submits_itself_again.
unsafe impl ffi::WorkFunction for LeftToken {
    // Tested by: kunit tasks_run_where_they_were_asked_to, kunit an_item_submits_itself_again.
    unsafe fn run(work: *mut ffi::work_struct) {
        // SAFETY: Work items with this function are in a `Task` with a token, which is not used any more.
        unsafe { Task::discard(Task::with_work(work)) }
    }
}

/// What is left to be done for a task by who has run it.
struct Left {
    next: Next,
    /// The memory of the task, if it has finished and its memory is not the caller's.
    memory: *mut Task,
}

impl Left {
    /// Does what is left, for a worker that runs the work item of the task, whose memory is freed last.
    ///
    /// # Safety
    ///
    /// It must belong to the caller, which is the worker. The task must have finished, or have been left to who
    /// retires it.
    // Tested by: mutant own-memory-freed-before-retiring, model dispatcher-ordered.
    unsafe fn go_on(self, worker: &Worker) {
        // SAFETY: By the caller's promise. Without a server no task is begun with, and a task that is retired
        // here comes after that one in the order.
        unsafe {
            Task::go_on(self.next, worker, None);
            ffi::kfree(self.memory.cast());
        }
    }

    /// Does what is left, and has others retire.
    ///
    /// # Safety
    ///
    /// It must belong to the caller, for whom nothing was begun.
    // Tested by: mutant own-memory-freed-before-retiring, model dispatcher-ordered.
    unsafe fn leave(self) {
        // SAFETY: By the caller's promise.
        unsafe {
            ffi::kfree(self.memory.cast());
            if let Next::Retire(next) = self.next {
                Task::retire_elsewhere(next);
            }
        }
    }
}

/// The thread that runs a task.
#[derive(Clone, Copy)]
enum Thread<'a> {
    /// A worker.
    Worker(&'a Worker),
    /// Any, which may be inside a task, or in an interrupt.
    Any,
}

/// What is needed to bring a task to its end, without the task.
struct End<'a> {
    task: NonNull<Task>,
    domain: *const AsyncDomain,
    modules: ModuleRefs,
    module: *mut ffi::module,
    scope: *const Gathering,
    thread: Thread<'a>,
}

impl<'a> End<'a> {
    /// # Safety
    ///
    /// The task must be prepared and belong to the caller. There must be one `End` only that is not
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
                modules: (*this).for_.into_refs(module),
                module,
                scope: (*this).for_.scope(),
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
    unsafe fn enter(&self, node: *mut Node, f: impl FnOnce(&Context<'_>)) -> bool {
        let f = |run: &Run| f(&Context::new(run));

        // SAFETY: The domain is valid: the node is in its order.
        unsafe {
            match self.thread {
                Thread::Worker(worker) => AsyncDomain::lockdep_task(self.domain, || {
                    worker.enter(self.domain, node, self.opener(), f)
                }),
                // Lockdep may know of this domain already.
                Thread::Any => Run::enter_nested(self.domain, node, self.opener(), f),
            }
        }
    }

    /// The open scope that the task belongs to, or null.
    #[inline]
    // Tested by: mutant scope-forgets-opener.
    fn opener(&self) -> *const Run {
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
    unsafe fn enter_detached(&self, node: *mut Node, f: impl FnOnce(&Context<'_>)) {
        let f = |run: &Run| f(&Context::new(run));

        // SAFETY: There is no domain in whose order the node would have to be.
        unsafe {
            match self.thread {
                Thread::Worker(worker) => worker.enter(ptr::null(), node, self.opener(), f),
                Thread::Any => Run::enter_nested(ptr::null(), node, self.opener(), f),
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
    ) -> Left {
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
                scope.leave();
            }
            next
        };
        Left { next, memory }
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
        // interrupt, `Run` does not look at the thread.
        unsafe {
            let discard = (*self.task.as_ptr()).ops.discard;
            let task = self.task;
            let attached = Run::enter_nested(self.domain, node, self.opener(), |_| discard(task));

            self.finish(node, attached, memory, None).leave();
        }
    }
}

/// Returns the task whose node this is, if it is a task's.
///
/// # Safety
///
/// `node` must be valid.
#[inline]
// Tested by: kunit scopes_nest_in_tasks_of_the_same_domain, kunit tokens_and_unknown_cookies_are_left.
pub(super) unsafe fn task_of(node: NonNull<Node>) -> Option<NonNull<Task>> {
    // By the type invariant of `Task`: the node is its first field.
    //
    // SAFETY: The caller promises that the node is valid.
    unsafe { (*node.as_ptr()).has(flag::TASK) }.then(|| node.cast())
}
