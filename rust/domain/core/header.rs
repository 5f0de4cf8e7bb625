// SPDX-License-Identifier: GPL-2.0

//! The headers of tasks and tokens: what stands at the start of their memory, or in a structure of the caller's.
//!
//! What is done with them is not here: `run/` implements the work functions, by which workers come back.

use super::{
    context::TaskContext,
    domain::AsyncDomain,
    module_refs::{
        is_held_by,
        ModuleRefs, //
        RawRef,
        RawRefs,
    },
    pending::{
        flag,
        Node, //
    },
    scope_data::ScopeData,
    worker_id::WorkerId, //
};
use crate::ffi;
use core::{
    cell::Cell,
    ptr::{
        self,
        NonNull, //
    }, //
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
pub(crate) struct Ops {
    /// Runs the task, or its parallel part, and consumes its closure. Called once for each time that
    /// the task is queued, unless `discard` is.
    pub(crate) run: unsafe fn(NonNull<Task>, &TaskContext<'_>),
    /// Runs the in-order part of the task, once, after `run`; `None` if it has none.
    pub(crate) retire: Option<unsafe fn(NonNull<Task>, &TaskContext<'_>)>,
    /// Drops what `run` would have consumed.
    pub(crate) discard: unsafe fn(NonNull<Task>),
    /// Tells, after `run` or `discard`, what others may know when the task is done; called with the domain's lock
    /// held. Not for a task in memory that the caller has brought.
    pub(crate) settle: Option<unsafe fn(NonNull<Task>)>,
    /// Whether the task is in memory that the caller has brought.
    pub(crate) callers_memory: bool,
    /// The module whose code this is.
    pub(crate) module: *mut ffi::module,
}

// SAFETY: It is not changed.
// Tested by: nothing.
unsafe impl Sync for Ops {}

/// For whom a task works, and what is told when it has finished.
#[derive(Clone, Copy)]
pub(crate) enum Holds {
    /// The submitter and the owner of the domain, whose modules cannot be unloaded until then.
    Modules(RawRefs),
    /// The same, where both are one module: the domain holds it for all such tasks ([`flag::SHARED`]).
    Domain,
    /// A scope, whose frame is not left until then, and the submitter, if it is another module than that of
    /// the frame.
    Scope(*const ScopeData, RawRef),
}

impl Holds {
    /// Takes over what is held on behalf of a task of this submitter.
    ///
    /// # Safety
    ///
    /// [`Task::prepare`] must have said so of a task with that module; it is taken over once.
    #[inline]
    // Tested by: kunit unfinished_tasks_hold_their_module, kunit
    //   tasks_of_another_module_than_the_frame_hold_it.
    pub(crate) unsafe fn into_refs(self, submitter: *mut ffi::module) -> ModuleRefs {
        // SAFETY: By the caller's promise.
        unsafe {
            match self {
                Self::Modules(kept) => ModuleRefs::from_raw(submitter, kept),
                Self::Domain => ModuleRefs::none(),
                Self::Scope(_, kept) => kept.into_refs(submitter),
            }
        }
    }

    /// The scope, or null.
    #[inline]
    pub(crate) fn scope(&self) -> *const ScopeData {
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
/// - While the task is queued or running, `domain` is the one in whose order `node` is, and `holds`
///   is valid.
/// - Unless `ops.callers_memory`, the task is the start of an allocation that is freed when it has finished.
#[repr(C)]
pub(crate) struct Task {
    /// The place in the order.
    pub(crate) node: Node,
    /// For what is left to a worker other than to run the task; initialised then.
    work: Opaque<ffi::work_struct>,
    pub(crate) ops: &'static Ops,
    pub(crate) domain: *const AsyncDomain,
    pub(crate) holds: Holds,
    queued: Atomic<bool>,
    /// The NUMA node on which it is to run, or [`ffi::NUMA_NO_NODE`].
    nid: i16,
    /// The worker that runs the task, unless its place is on the stack of that.
    pub(crate) worker: WorkerId,
}

// CAST: It is -1, and the numbers of nodes are small.
const NO_NID: i16 = ffi::NUMA_NO_NODE as i16;

const _: () = assert!(ffi::MAX_NUMNODES <= i16::MAX as u32);

impl Task {
    /// Initialises a task.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writing, and the start of what the functions of `ops` expect.
    // Tested by: mutant item-claimed-twice, mutant item-given-back-early.
    pub(crate) unsafe fn init(this: *mut Self, ops: &'static Ops) {
        // SAFETY: `this` is valid for writing.
        unsafe {
            (&raw mut (*this).node).write(Node::new(flag::TASK));
            (&raw mut (*this).ops).write(ops);
            (&raw mut (*this).domain).write(ptr::null());
            (&raw mut (*this).holds).write(Holds::Modules(RawRefs::NONE));
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
    pub(crate) unsafe fn claim(this: NonNull<Self>) -> bool {
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
    pub(crate) unsafe fn unclaim(this: NonNull<Self>) {
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
    pub(crate) unsafe fn prepare(
        this: NonNull<Self>,
        domain: &AsyncDomain,
        scope: *const ScopeData,
    ) -> Result {
        // SAFETY: The task belongs to the caller. Its module is running; the owner of the domain is
        // valid by the domain's invariant.
        unsafe {
            let this = this.as_ptr();
            let module = (*this).ops.module;

            (*this).domain = domain;
            (*this).holds = if let Some(scope_data) = scope.as_ref() {
                let refs = scope_data.hold(module)?;
                scope_data.add_task();
                Holds::Scope(scope, refs)
            } else if is_held_by(domain, module) {
                Holds::Domain
            } else {
                Holds::Modules(RawRefs::get(module, domain)?)
            };
            (*this).node.reset(match (*this).holds {
                Holds::Domain => flag::TASK | flag::SHARED,
                Holds::Modules(_) | Holds::Scope(..) => flag::TASK,
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
    pub(crate) unsafe fn unprepare(this: NonNull<Self>) {
        // SAFETY: The task belongs to the caller.
        let Self { holds, ops, .. } = unsafe { this.as_ref() };

        // SAFETY: These are the references that the task was prepared with.
        drop(unsafe { holds.into_refs(ops.module) });
        // SAFETY: The scope waits for the task, which has not been removed.
        if let Some(scope) = unsafe { holds.scope().as_ref() } {
            scope.remove_task();
        }
    }

    /// The work item of a task.
    ///
    /// # Safety
    ///
    /// The task must be valid.
    // Tested by: kunit scopes_nest_in_tasks_of_the_same_domain, kunit tokens_and_unknown_cookies_are_left.
    pub(crate) unsafe fn work(this: NonNull<Self>) -> *mut ffi::work_struct {
        // SAFETY: By the caller's promise.
        Opaque::cast_into(unsafe { &raw const (*this.as_ptr()).work })
    }

    /// The task that a work item is in.
    ///
    /// # Safety
    ///
    /// It must be in one.
    // Tested by: kunit scopes_nest_in_tasks_of_the_same_domain, kunit tokens_and_unknown_cookies_are_left.
    pub(crate) unsafe fn with_work(work: *mut ffi::work_struct) -> NonNull<Self> {
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
    pub(crate) unsafe fn set_nid(this: NonNull<Self>, nid: c_int) {
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
    pub(crate) unsafe fn nid(this: NonNull<Self>) -> c_int {
        // SAFETY: The task is valid, and nobody changes this while it is queued.
        unsafe { (*this.as_ptr()).nid }.into()
    }

    /// Whether the task works for this scope.
    ///
    /// # Safety
    ///
    /// The task must be valid and prepared.
    // Tested by: kunit scopes_nest_in_tasks_of_the_same_domain, kunit tokens_and_unknown_cookies_are_left.
    pub(crate) unsafe fn is_of(this: NonNull<Self>, scope: &ScopeData) -> bool {
        // SAFETY: By the caller's promise.
        ptr::eq(unsafe { (*this.as_ptr()).holds.scope() }, scope)
    }
}

/// The place in the order of a task in the caller's memory while it runs, on the stack of its worker.
#[repr(C)]
pub(crate) struct StackNode {
    node: Node,
    /// The functions of the task, if it has any. Changed under the domain's lock, or while the node is in
    /// no list.
    pub(crate) ops: Cell<Option<&'static Ops>>,
    /// The thread that runs the task.
    pub(crate) pid: c_int,
}

impl StackNode {
    /// Makes a node that is in no list, for the current thread.
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            node: Node::new(flag::STACK),
            ops: Cell::new(None),
            pid: ffi::current_pid(),
        }
    }

    /// What is in the order.
    #[inline]
    pub(crate) fn node(&mut self) -> *mut Node {
        ptr::from_mut(self).cast()
    }
}

/// Returns the task whose node this is, if it is a task's.
///
/// # Safety
///
/// `node` must be valid.
#[inline]
// Tested by: kunit scopes_nest_in_tasks_of_the_same_domain, kunit tokens_and_unknown_cookies_are_left.
pub(crate) unsafe fn task_of(node: NonNull<Node>) -> Option<NonNull<Task>> {
    // By the type invariant of `Task`: the node is its first field.
    //
    // SAFETY: The caller promises that the node is valid.
    unsafe { (*node.as_ptr()).has(flag::TASK) }.then(|| node.cast())
}

#[repr(C)]
pub(crate) struct InFlight {
    pub(crate) node: Node,
    pub(crate) domain: *const AsyncDomain,
    /// The address in the code of who has begun it, for those who look on.
    pub(crate) begun_at: usize,
    pub(crate) modules: ModuleRefs,
    /// With `PREEMPT_RT`, the lock of the domain sleeps, and cannot be taken in a hard interrupt, nor
    /// with interrupts or preemption off. A token that is finished there has a worker do it.
    #[cfg(CONFIG_PREEMPT_RT)]
    pub(crate) work: kernel::types::Opaque<ffi::work_struct>,
}

/// A task that is retired by a worker of its own.
pub(crate) struct Retirement;

/// The token of an item that is finished, and the item dropped, by a worker.
#[cfg(CONFIG_PREEMPT_RT)]
pub(crate) struct DeferredToken;
