// SPDX-License-Identifier: GPL-2.0

//! The header of a spawned future: its stages, and what wakers point to.

use super::{
    domain::AsyncDomain,
    module_refs::RawRefs,
    pending::{
        flag,
        Node,
        NodeRef, //
    },
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
    },
    task, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Full,
                Relaxed, //
            },
            Atomic, //
        },
        Refcount, //
    },
    types::Opaque, //
};

/// What can be done with a spawned future of some type: its code, all in the module that spawns it.
pub(crate) struct Ops {
    /// Polls the future; drops it and returns `true` if it is ready.
    pub(crate) poll: unsafe fn(NonNull<Spawned>, &mut task::Context<'_>) -> bool,
    /// Drops the future.
    pub(crate) discard: unsafe fn(NonNull<Spawned>),
    /// The module whose code this is.
    pub(crate) module: *mut ffi::module,
}

// SAFETY: It is not changed.
// Tested by: nothing.
unsafe impl Sync for Ops {}

/// Where a spawned future is in its life. The other bits of [`Spawned::stage`] say which.
pub(crate) mod stage {
    /// It waits to be woken.
    pub(crate) const IDLE: u32 = 0;
    /// It is on the workqueue, or about to be, by whoever has set this; or it belongs to a canceller.
    pub(crate) const QUEUED: u32 = 1;
    /// A worker polls it.
    pub(crate) const RUNNING: u32 = 2;
    /// A worker polls it, and it has been woken meanwhile.
    pub(crate) const NOTIFIED: u32 = 3;
    /// It is ready or was cancelled, and has been dropped.
    pub(crate) const DONE: u32 = 4;
    /// All of the above.
    pub(crate) const MASK: u32 = 7;
    /// A flag: the future is not to be polled any more, but dropped.
    pub(crate) const CANCELLED: u32 = 8;
}

/// The part of a spawned future that is the same for all of them.
///
/// # Invariants
///
/// - It is the start of an allocation that is freed when `refs` gets to zero. Each waker is counted,
///   and so is the task, until its stage is [`stage::DONE`].
/// - Until then there is a future behind it, which belongs to who has set the stage to
///   [`stage::RUNNING`], or has cancelled it.
/// - `domain` is null, or points to the domain in whose order `node` is. It is changed by whoever the
///   future belongs to.
#[repr(C)]
pub(crate) struct Spawned {
    pub(crate) node: Node,
    pub(crate) work: Opaque<ffi::work_struct>,
    pub(crate) refs: Refcount,
    pub(crate) stage: Atomic<u32>,
    pub(crate) ops: &'static Ops,
    pub(crate) domain: Cell<*const AsyncDomain>,
    pub(crate) modules: Cell<RawRefs>,
    /// A valid NUMA node, or [`ffi::NUMA_NO_NODE`].
    pub(crate) place: c_int,
    pub(crate) worker: WorkerId,
}

ffi::impl_has_work!(Spawned, work);

impl Spawned {
    /// Initialises the header of a future.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writing, and the start of what the functions of `ops` expect.
    // Tested by: kunit what_cannot_be_spawned_is_given_back, kunit
    //   modules_stay_until_future_and_waker_are_gone.
    pub(crate) unsafe fn init(this: *mut Self, ops: &'static Ops, place: c_int) {
        let header = Self {
            node: Node::new(flag::SPAWNED),
            work: Opaque::uninit(),
            refs: Refcount::new(1),
            stage: Atomic::new(stage::QUEUED),
            ops,
            domain: Cell::new(ptr::null()),
            modules: Cell::new(RawRefs::NONE),
            place,
            worker: WorkerId::new(),
        };

        // SAFETY: `this` is valid for writing; the work item is not queued.
        unsafe {
            this.write(header);
            ffi::init_work::<Self>(&*this);
        }
    }

    /// Changes the stage by a function until that gives `None`, which makes it fail, or the change was
    /// made; returns the old stage.
    ///
    /// Fully ordered: who finds that there is nothing to change still lets the next poll see what it
    /// did before, since it writes what it has found.
    pub(crate) fn advance(&self, mut next: impl FnMut(u32) -> Option<u32>) -> Option<u32> {
        let mut now = self.stage.load(Relaxed);

        loop {
            match self.stage.cmpxchg(now, next(now)?, Full) {
                Ok(old) => return Some(old),
                Err(changed) => now = changed,
            }
        }
    }

    /// The domain in whose order the future is, unless the future has dropped it. It must belong to the caller.
    #[inline]
    // Tested by: kunit a_future_can_drop_its_own_domain, test trace.
    pub(crate) fn domain(&self) -> Option<&AsyncDomain> {
        // SAFETY: By the type invariant, the pointer is null, or that of a domain in whose order the future is, which
        // is not dropped before.
        unsafe { self.domain.get().as_ref() }
    }

    /// What the future is doing, or was a moment ago.
    pub(crate) fn doing(&self) -> Doing {
        match self.stage.load(Relaxed) & stage::MASK {
            stage::IDLE => Doing::Awaiting,
            stage::QUEUED => Doing::Queued,
            _ => Doing::Running(self.worker.get()),
        }
    }

    /// The address of the code that polls it.
    pub(crate) fn code(&self) -> usize {
        self.ops.poll as usize
    }
}

/// What a spawned future is doing, for those who look on.
pub(crate) enum Doing {
    /// It awaits something.
    Awaiting,
    /// It is on the workqueue.
    Queued,
    /// It is being polled, or dropped, by this thread if it is known.
    Running(Option<c_int>),
}

/// The header of a spawned future that stays for `'a`, as [`TaskRef`](super::header::TaskRef) that of a task.
///
/// # Invariants
///
/// The header is valid for `'a`, and the start of what its functions expect.
#[derive(Clone, Copy)]
pub(crate) struct SpawnedRef<'a>(NonNull<Spawned>, PhantomData<&'a Spawned>);

impl SpawnedRef<'_> {
    /// # Safety
    ///
    /// `spawned` must be valid as long as this is used.
    #[inline]
    pub(crate) unsafe fn new(spawned: NonNull<Spawned>) -> Self {
        // INVARIANT: The caller promises it; `init` was told what the functions expect.
        Self(spawned, PhantomData)
    }

    /// The address of the header, and of what it is the start of.
    #[inline]
    pub(crate) fn as_ptr(self) -> NonNull<Spawned> {
        self.0
    }

    /// The place in the order, which is the start of the header.
    #[inline]
    pub(crate) fn node(self) -> *mut Node {
        self.0.as_ptr().cast()
    }
}

impl Deref for SpawnedRef<'_> {
    type Target = Spawned;

    #[inline(always)]
    // Tested by: kunit each_future_is_run_and_dropped_once, kunit modules_stay_until_future_and_waker_are_gone.
    fn deref(&self) -> &Spawned {
        // SAFETY: By the type invariant. What others change in it meanwhile is atomic or in cells.
        unsafe { self.0.as_ref() }
    }
}

/// Returns the spawned future whose node this is, if it is one's.
pub(crate) fn spawned_of(node: NodeRef<'_>) -> Option<SpawnedRef<'_>> {
    // INVARIANT: The node is valid for as long, and by its flag the first field of a future's header.
    node.has(flag::SPAWNED)
        .then(|| SpawnedRef(node.as_ptr().cast(), PhantomData))
}
