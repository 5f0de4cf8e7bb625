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
        Node,
        NodeRef, //
    },
    scope_data::ScopeData,
    worker_id::WorkerId, //
};
use crate::ffi;
use core::{
    cell::Cell,
    marker::PhantomData,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
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
    /// Takes what is to be held for a task of this submitter.
    ///
    /// # Safety
    ///
    /// `submitter` must be null or a valid module, which stays during the call; `scope` must be null or valid.
    #[inline]
    // Tested by: kunit unfinished_tasks_hold_their_module, kunit
    //   tasks_of_another_module_than_the_frame_hold_it.
    unsafe fn take(
        submitter: *mut ffi::module,
        domain: &AsyncDomain,
        scope: *const ScopeData,
    ) -> Result<Self> {
        // SAFETY: The scope is valid unless it is null, and so is the submitter.
        Ok(unsafe {
            match scope.as_ref() {
                Some(data) => {
                    let kept = data.hold(submitter)?;
                    data.add_task();
                    Self::Scope(scope, kept)
                }
                None if is_held_by(domain, submitter) => Self::Domain,
                None => Self::Modules(RawRefs::get(submitter, domain)?),
            }
        })
    }

    /// Takes over what is held on behalf of a task of this submitter.
    ///
    /// # Safety
    ///
    /// [`Task::prepare`] must have said so of a task with that module; it is taken over once.
    #[inline]
    // Tested by: kunit unfinished_tasks_hold_their_module, kunit
    //   tasks_of_another_module_than_the_frame_hold_it.
    pub(crate) unsafe fn into_refs(self, submitter: *mut ffi::module) -> ModuleRefs {
        // SAFETY: The references were taken for this submitter, by `take`, and are taken over once.
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
    nid: Cell<i16>,
    /// The worker that runs the task, unless its place is on the stack of that.
    pub(crate) worker: WorkerId,
}

ffi::impl_has_work!(Task, work);

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
            (&raw mut (*this).nid).write(Cell::new(NO_NID));
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
        let this = this.as_ptr();

        // SAFETY: The task is valid. Its module is running, and the scope outlives it.
        let holds = unsafe { Holds::take((*this).ops.module, domain, scope) }?;
        let flags = match holds {
            Holds::Domain => flag::TASK | flag::SHARED,
            Holds::Modules(_) | Holds::Scope(..) => flag::TASK,
        };
        // SAFETY: The task belongs to the caller: nobody else looks at it.
        unsafe {
            (*this).domain = domain;
            (*this).holds = holds;
            (*this).node.reset(flags);
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
        // SAFETY: The task was prepared, for its module, and belongs to the caller.
        let Self { holds, ops, .. } = unsafe { this.as_ref() };

        // SAFETY: These are the references that the task was prepared with. The scope waits for the task, which has not
        // been removed.
        let scope = unsafe {
            drop(holds.into_refs(ops.module));
            holds.scope().as_ref()
        };
        if let Some(scope) = scope {
            scope.remove_task();
        }
    }

    /// Says on which node the task is to run, a valid one, or [`ffi::NUMA_NO_NODE`]. The task must belong to
    /// the caller.
    #[inline]
    pub(crate) fn set_nid(&self, nid: c_int) {
        // CAST: It fits, as asserted above.
        self.nid.set(nid as i16);
    }

    /// The node on which the task is to run, or [`ffi::NUMA_NO_NODE`]. It does not change while the task is queued.
    #[inline]
    pub(crate) fn nid(&self) -> c_int {
        self.nid.get().into()
    }

    /// Whether the task, which must be prepared, works for this scope.
    pub(crate) fn is_of(&self, scope: &ScopeData) -> bool {
        ptr::eq(self.holds.scope(), scope)
    }
}

/// A task that stays for `'a`: as long as the order is borrowed that it is in, or it belongs to who has this.
///
/// Unlike a reference, it leads to what the task is the start of.
///
/// # Invariants
///
/// The task is valid for `'a`, and the start of what its functions expect.
#[derive(Clone, Copy)]
pub(crate) struct TaskRef<'a>(NonNull<Task>, PhantomData<&'a Task>);

impl<'a> TaskRef<'a> {
    /// # Safety
    ///
    /// `task` must be valid as long as this is used.
    #[inline]
    pub(crate) unsafe fn new(task: NonNull<Task>) -> Self {
        // INVARIANT: The caller promises that it is valid; `init` was told what its functions expect.
        Self(task, PhantomData)
    }

    /// The address of the task, and of what it is the start of.
    #[inline]
    pub(crate) fn as_ptr(self) -> NonNull<Task> {
        self.0
    }

    /// The place in the order, which is the start of the task.
    #[inline]
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    pub(crate) fn place(self) -> NodeRef<'a> {
        // SAFETY: The task is valid for as long, and the node is its first field.
        unsafe { NodeRef::new(self.0.as_ptr().cast()) }
    }
}

impl Deref for TaskRef<'_> {
    type Target = Task;

    #[inline(always)]
    // Tested by: mutant node-left-in-item, mutant item-given-back-early.
    fn deref(&self) -> &Task {
        // SAFETY: By the type invariant. What others change in it meanwhile is atomic or in cells.
        unsafe { self.0.as_ref() }
    }
}

/// A task that belongs to who has this: nobody else runs, retires or discards it.
///
/// It stands for the task once. Who runs the task consumes it.
///
/// # Invariants
///
/// - The task is prepared, in the order of its domain, and not queued; there is no other one of these for it.
/// - If it is [`ToRun`], then what is to be run is there.
/// - If it is [`ToRetire`], then the task is first in the order, has an in-order part, and `run` has returned.
#[must_use = "others wait for the task"]
pub(crate) struct Owned<S>(TaskRef<'static>, PhantomData<S>);

/// A task that was dequeued, to be run or discarded.
pub(crate) struct ToRun;

/// A task whose parallel part is done, to be retired.
pub(crate) struct ToRetire;

impl<S> Owned<S> {
    /// # Safety
    ///
    /// The caller must see to the invariants.
    #[inline]
    pub(crate) unsafe fn new(task: NonNull<Task>) -> Self {
        // INVARIANT: The caller promises it.
        Self(TaskRef(task, PhantomData), PhantomData)
    }

    /// The task, which whoever else has a reference to it may look at, too.
    #[inline]
    pub(crate) fn task(&self) -> TaskRef<'_> {
        self.0
    }

    /// The domain in whose order the task is.
    #[inline]
    // Tested by: model domain-end, kunit either_part_can_drop_the_domain.
    pub(crate) fn domain(&self) -> &AsyncDomain {
        // SAFETY: The task is in the order of this domain, which is not dropped before the task has finished, or
        // has dropped it while it ran.
        unsafe { &*self.0.domain }
    }

    /// Gives the task up, for it to be finished.
    #[inline]
    pub(crate) fn into_task(self) -> TaskRef<'static> {
        self.0
    }
}

impl<S> Deref for Owned<S> {
    type Target = Task;

    #[inline(always)]
    fn deref(&self) -> &Task {
        &self.0
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

    /// Returns the stack node whose node this is, if it is one's.
    // Tested by: kunit stages_before_a_worker_comes, kunit stages_of_an_ordered_task.
    pub(crate) fn of(node: NodeRef<'_>) -> Option<&Self> {
        if !node.has(flag::STACK) {
            return None;
        }
        // SAFETY: The node is valid for as long, and by its flag the first field of a stack node.
        Some(unsafe { node.as_ptr().cast().as_ref() })
    }

    /// What is in the order.
    #[inline]
    pub(crate) fn node(&mut self) -> *mut Node {
        ptr::from_mut(self).cast()
    }
}

/// Returns the task whose node this is, if it is a task's.
#[inline]
pub(crate) fn task_of(node: NodeRef<'_>) -> Option<TaskRef<'_>> {
    // INVARIANT: The node is valid for as long, and by its flag the first field of a task.
    node.has(flag::TASK)
        .then(|| TaskRef(node.as_ptr().cast(), PhantomData))
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

/// A token of either kind.
pub(crate) enum AnyToken<'a> {
    /// That of an item, in the item's header.
    Item(TaskRef<'a>),
    /// One with memory of its own.
    Own(&'a InFlight),
}

/// Returns the token whose node this is, which is nothing else's.
// Tested by: kunit stages_before_a_worker_comes, test debugfs.
pub(crate) fn token_of(node: NodeRef<'_>) -> AnyToken<'_> {
    if node.has(flag::TOKEN) {
        // INVARIANT: The node is valid for as long, and by its flag the first field of a task.
        return AnyToken::Item(TaskRef(node.as_ptr().cast(), PhantomData));
    }
    // SAFETY: The node is valid for as long. Without a flag it is the first field of a token in flight.
    AnyToken::Own(unsafe { node.as_ptr().cast().as_ref() })
}

#[cfg(CONFIG_PREEMPT_RT)]
ffi::impl_has_work!(InFlight, work);

/// A task that is retired by a worker of its own.
pub(crate) struct Retirement;

/// The token of an item that is finished, and the item dropped, by a worker.
#[cfg(CONFIG_PREEMPT_RT)]
pub(crate) struct DeferredToken;
