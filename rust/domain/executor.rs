// SPDX-License-Identifier: GPL-2.0

//! Spawned futures: tasks that give their worker back whenever they wait.
//!
//! # Life of a spawned future
//!
//! ```text
//!             spawn                worker                poll: ready
//!   (in order) ----> QUEUED ----------------> RUNNING ----------------> DONE (out of the order)
//!                    ^  ^                    | |   ^ |
//!                    |  |      poll: pending | |   | | wake during poll
//!               wake |  |                    v |   | v
//!                    +--|------------------ IDLE   NOTIFIED
//!                       |                             |
//!                       +-----------------------------+ poll: pending
//! ```
//!
//! The future is in one allocation with a header, and the header is what wakers point to. Their number
//! is counted, and the memory stays until the last of them is gone, long after the future itself
//! perhaps: it has been dropped by the worker that saw it ready, before the task counts as finished. A
//! waker's functions and the header are this module's own, and each header holds a reference on it, so
//! that a waker may outlive the module that spawned the future.
//!
//! Futures are polled on a queue of their own. Tasks that wait for a future, even if they hold all
//! places of theirs, do not keep it from being polled. A future should not hold its place either: it
//! awaits, where a task would block.

use super::{
    modules::{
        KeptRefs,
        ModuleRefs, //
    },
    own::OwnRef,
    pending::{
        flag,
        Node, //
    },
    running::{
        Run,
        Worker, //
    },
    trace,
    worker_id::WorkerId,
    AsyncDomain,
    Cookie, //
};
use crate::{
    ffi,
    queue, //
};
use core::{
    cell::Cell,
    mem::{
        self,
        ManuallyDrop, //
    },
    ptr::{
        self,
        NonNull, //
    },
    task::{
        self,
        RawWaker,
        RawWakerVTable,
        Waker, //
    },
};
use kernel::{
    container_of,
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
pub(super) struct Ops {
    /// Polls the future; drops it and returns `true` if it is ready.
    pub(super) poll: unsafe fn(NonNull<Spawned>, &mut task::Context<'_>) -> bool,
    /// Drops the future.
    pub(super) discard: unsafe fn(NonNull<Spawned>),
    /// The module whose code this is.
    pub(super) module: *mut ffi::module,
}

// SAFETY: It is not changed.
// Tested by: nothing.
unsafe impl Sync for Ops {}

/// Where a spawned future is in its life. The other bits of [`Spawned::stage`] say which.
mod stage {
    /// It waits to be woken.
    pub(super) const IDLE: u32 = 0;
    /// It is on the workqueue, or about to be, by whoever has set this; or it belongs to a canceller.
    pub(super) const QUEUED: u32 = 1;
    /// A worker polls it.
    pub(super) const RUNNING: u32 = 2;
    /// A worker polls it, and it has been woken meanwhile.
    pub(super) const NOTIFIED: u32 = 3;
    /// It is ready or was cancelled, and has been dropped.
    pub(super) const DONE: u32 = 4;
    /// All of the above.
    pub(super) const MASK: u32 = 7;
    /// A flag: the future is not to be polled any more, but dropped.
    pub(super) const CANCELLED: u32 = 8;
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
pub(super) struct Spawned {
    pub(super) node: Node,
    work: Opaque<ffi::work_struct>,
    refs: Refcount,
    stage: Atomic<u32>,
    pub(super) ops: &'static Ops,
    pub(super) domain: Cell<*const AsyncDomain>,
    modules: Cell<KeptRefs>,
    /// A valid NUMA node, or [`ffi::NUMA_NO_NODE`].
    place: c_int,
    worker: WorkerId,
}

// Tested by: mutant wake-of-queued-unordered, model spawn-woken.
static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: A waker is counted, and so the memory is there.
        unsafe { (*data.cast::<Spawned>()).refs.inc() };
        RawWaker::new(data, &VTABLE)
    },
    |data| {
        // SAFETY: As above; this is the waker's reference.
        unsafe {
            (*data.cast::<Spawned>()).wake();
            Spawned::put(data.cast());
        }
    },
    // SAFETY: As above.
    |data| unsafe { (*data.cast::<Spawned>()).wake() },
    // SAFETY: As above; this is the waker's reference.
    |data| unsafe { Spawned::put(data.cast()) },
);

impl Spawned {
    /// Initialises the header of a future.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writing, and the start of what the functions of `ops` expect.
    // Tested by: kunit what_cannot_be_spawned_is_given_back, kunit
    //   modules_stay_until_future_and_waker_are_gone.
    pub(super) unsafe fn init(this: *mut Self, ops: &'static Ops, place: c_int) {
        // SAFETY: `this` is valid for writing.
        unsafe {
            (&raw mut (*this).node).write(Node::new(flag::SPAWNED));
            ffi::init_work::<Self>(Opaque::cast_into(&raw const (*this).work));
            (&raw mut (*this).refs).write(Refcount::new(1));
            (&raw mut (*this).stage).write(Atomic::new(stage::QUEUED));
            (&raw mut (*this).ops).write(ops);
            (&raw mut (*this).domain).write(Cell::new(ptr::null()));
            (&raw mut (*this).modules).write(Cell::new(KeptRefs::NONE));
            (&raw mut (*this).place).write(place);
            (&raw mut (*this).worker).write(WorkerId::new());
        }
    }

    /// Puts the future into the order of a domain, and on the workqueue.
    ///
    /// # Safety
    ///
    /// It must be initialised, with a future behind it that is `'static`. Unless this fails, it belongs
    /// to the executor from now on.
    // Tested by: kunit what_cannot_be_spawned_is_given_back, kunit
    //   modules_stay_until_future_and_waker_are_gone.
    pub(super) unsafe fn submit(this: NonNull<Self>, domain: &AsyncDomain) -> Result<Cookie> {
        let own = OwnRef::new()?;
        // SAFETY: It belongs to us until it is linked. Its module is running; the owner of the domain
        // is valid by the domain's invariant. It is queued with the lock held, so that the futures
        // of a domain are first polled in cookie order.
        unsafe {
            let (header, ops) = (this.as_ptr(), (*this.as_ptr()).ops);
            let kept = ModuleRefs::get(ops.module, domain)?.into_kept();

            (*header).modules.set(kept);
            (*header).domain.set(domain);
            domain
                .link(&raw mut (*header).node, |_| Self::enqueue(this))
                // This is dropped when the memory is freed.
                .inspect(|_| mem::forget(own))
                .inspect_err(|_| drop(ModuleRefs::from_kept(ops.module, kept)))
        }
    }

    /// Hands the future over to the workqueue. It may be gone when this returns.
    ///
    /// # Safety
    ///
    /// The caller must have set the stage to [`stage::QUEUED`].
    // Tested by: mutant wake-during-poll-lost, model spawn-woken.
    unsafe fn enqueue(this: NonNull<Self>) {
        // SAFETY: The work item is not on the queue, since nobody else has set the stage. It stays
        // valid until its work function has seen it.
        unsafe {
            let this = this.as_ptr();
            let work = Opaque::cast_into(&raw const (*this).work);
            let place = (*this).place;

            // Somebody who cancels may have seen the stage before this, and be about to find that the
            // item is not on the queue: for a few instructions, with interrupts off.
            while !queue::enqueue_on(&queue::POLLS, work, place) {
                core::hint::spin_loop();
            }
        }
    }

    /// Changes the stage by a function until that gives `None`, which makes it fail, or the change was
    /// made; returns the old stage.
    ///
    /// Fully ordered: who finds that there is nothing to change still lets the next poll see what it
    /// did before, since it writes what it has found.
    fn advance(&self, mut next: impl FnMut(u32) -> Option<u32>) -> Option<u32> {
        let mut now = self.stage.load(Relaxed);

        loop {
            match self.stage.cmpxchg(now, next(now)?, Full) {
                Ok(old) => return Some(old),
                Err(changed) => now = changed,
            }
        }
    }

    /// Sees to it that the future is polled; may be called in any context.
    // Tested by: mutant wake-during-poll-lost, model spawn-woken.
    fn wake(&self) {
        let old = self.advance(|old| match old & stage::MASK {
            stage::IDLE => Some(old | stage::QUEUED),
            stage::RUNNING => Some((old & !stage::MASK) | stage::NOTIFIED),
            stage::DONE => None,
            _ => Some(old),
        });

        if old.is_some_and(|old| old & stage::MASK == stage::IDLE) {
            // SAFETY: We have set the stage.
            unsafe { Self::enqueue(NonNull::from(self)) };
        }
    }

    /// Makes the future one that is not polled any more; returns whether it belongs to the caller now,
    /// who must [discard](Self::discard) it. Else its worker will.
    ///
    /// # Safety
    ///
    /// It must be in the order of its domain, whose lock must be held.
    // Tested by: mutant cancelled-polled, model spawn-cancelled.
    pub(super) unsafe fn cancel(this: NonNull<Self>) -> bool {
        // SAFETY: What is in the order is valid.
        let header = unsafe { this.as_ref() };
        let old = header.advance(|old| match old & stage::MASK {
            stage::IDLE => Some(stage::QUEUED | stage::CANCELLED),
            stage::DONE => None,
            _ => Some(old | stage::CANCELLED),
        });

        match old.map(|old| old & stage::MASK) {
            Some(stage::IDLE) => true,
            // Somebody else may have taken it back, or be about to queue it, or a worker to begin with
            // it: then it is not on the queue.
            //
            // SAFETY: The work item is valid. Who queues it at the same time has set the stage, and
            // does so once; other cancellers wait for the lock.
            Some(stage::QUEUED) => unsafe { queue::cancel(Opaque::cast_into(&header.work)) },
            _ => false,
        }
    }

    /// Drops a future that has been cancelled, and counts as finished then.
    ///
    /// # Safety
    ///
    /// It must belong to the caller.
    // Tested by: mutant cancelled-polled, model spawn-cancelled.
    pub(super) unsafe fn discard(this: NonNull<Self>) {
        // SAFETY: It is valid, and its node in the order of its domain unless that is null; it belongs
        // to us. In an interrupt, `Run` does not look at the thread.
        unsafe {
            let header = this.as_ptr();
            let node = &raw mut (*header).node;
            let discard = (*header).ops.discard;
            let domain = (*header).domain.get();
            let attached = Run::enter_nested(domain, node, ptr::null(), |_| discard(this));

            Self::finish(this, attached);
        }
    }

    /// The future has been dropped: counts as finished. The memory is this module's alone from now on.
    ///
    /// # Safety
    ///
    /// It must belong to the caller. If `attached`, it must be in the order of its domain.
    // Tested by: kunit each_future_is_run_and_dropped_once, kunit modules_stay_until_future_and_waker_are_gone.
    unsafe fn finish(this: NonNull<Self>, attached: bool) {
        // SAFETY: The memory is valid until our reference is dropped. The domain is not used after the
        // node has left its order.
        unsafe {
            let header = this.as_ptr();
            let mut modules = ModuleRefs::from_kept((*header).ops.module, (*header).modules.get());

            (*header).stage.xchg(stage::DONE, Full);
            if attached {
                (*(*header).domain.get())
                    .finish_elsewhere(&raw mut (*header).node, || modules.put());
            }
            Self::put(header);
            drop(modules);
        }
    }

    /// Drops a reference, and the memory with the last one. May be called in any context.
    ///
    /// # Safety
    ///
    /// The reference must be the caller's.
    // Tested by: kunit each_future_is_run_and_dropped_once, kunit modules_stay_until_future_and_waker_are_gone.
    unsafe fn put(this: *const Self) {
        // SAFETY: The memory is valid while there is a reference, and ours alone if that was the last. The
        // work item is not on the queue: only a future that is not done is put there.
        unsafe {
            if !(*this).refs.dec_and_test() {
                return;
            }
            #[cfg(CONFIG_PREEMPT_RT)]
            if queue::defer::<Leftover>(Opaque::cast_into(&raw const (*this).work)) {
                return;
            }
            ffi::with_spin_locks(|| Self::free(this));
        }
    }

    /// Frees the memory.
    ///
    /// # Safety
    ///
    /// There must be no reference any more.
    // Tested by: kunit each_future_is_run_and_dropped_once, kunit modules_stay_until_future_and_waker_are_gone.
    unsafe fn free(this: *const Self) {
        // SAFETY: The memory comes from a `KBox`, and nothing in it has a destructor: the future is gone.
        // The reference is that on this module which `submit` has kept.
        unsafe {
            ffi::kfree(this.cast());
            drop(OwnRef::from_forgotten());
        }
    }
}

/// A future without references, whose memory could not be freed where the last one was dropped.
#[cfg(CONFIG_PREEMPT_RT)]
struct Leftover;

#[cfg(CONFIG_PREEMPT_RT)]
// SAFETY: `run` does not touch the work item after it has been freed.
// Tested by: model spawn-woken, model spawn-cancelled.
unsafe impl ffi::WorkFunction for Leftover {
    // Tested by: model spawn-woken, model spawn-cancelled.
    unsafe fn run(work: *mut ffi::work_struct) {
        // SAFETY: Work items with this function are in a `Spawned` that nobody has a reference on.
        unsafe {
            let work: *mut Opaque<ffi::work_struct> = work.cast();
            Spawned::free(container_of!(work, Spawned, work));
        }
    }
}

// SAFETY: `run` does not touch the work item after it has left the future to others.
// Tested by: model spawn-woken, model spawn-cancelled.
unsafe impl ffi::WorkFunction for Spawned {
    // Tested by: model spawn-woken, model spawn-cancelled.
    unsafe fn run(work: *mut ffi::work_struct) {
        // SAFETY: Work items with this function are in a `Spawned`.
        let this = unsafe {
            let work: *mut Opaque<ffi::work_struct> = work.cast();
            NonNull::new_unchecked(container_of!(work, Spawned, work))
        };
        // SAFETY: What is on the queue is not done, and so valid.
        let header = unsafe { this.as_ref() };

        // INVARIANT: The future belongs to us.
        let old = header.advance(|old| Some((old & !stage::MASK) | stage::RUNNING));
        let cancelled = old.is_some_and(|old| old & stage::CANCELLED != 0);

        let (domain, ops) = (header.domain.get(), header.ops);
        let node = (&raw const header.node).cast_mut();
        let mut done = cancelled;
        let step = |_: &Run| {
            if cancelled {
                // SAFETY: The future belongs to us.
                unsafe {
                    trace::spawned_cancel(this);
                    (ops.discard)(this);
                }
            } else {
                // A waker without a reference, which it borrows from the task.
                //
                // SAFETY: The functions are those of a waker that points to a `Spawned`. It is not
                // dropped.
                let waker = unsafe { Waker::new(this.as_ptr().cast(), &VTABLE) };
                let waker = ManuallyDrop::new(waker);

                // SAFETY: The future belongs to us.
                done = unsafe {
                    trace::poll_start(this);
                    (ops.poll)(this, &mut task::Context::from_waker(&waker))
                };
            }
        };

        // SAFETY: The node is in the order of the domain, unless that is null. A worker runs one item
        // at a time, and so is not inside another task.
        let attached = unsafe {
            let worker = Worker::new();

            header.worker.set(worker.pid());
            if domain.is_null() {
                worker.enter(domain, node, ptr::null(), step)
            } else {
                AsyncDomain::lockdep_task(domain, || worker.enter(domain, node, ptr::null(), step))
            }
        };

        if !attached {
            // INVARIANT: The future has dropped its domain, which has forgotten the node.
            header.domain.set(ptr::null());
        }
        if done {
            // SAFETY: The future is gone, and what is left of it belongs to us.
            unsafe { Self::finish(this, attached) };
            return;
        }

        // SAFETY: The future belongs to us.
        unsafe { trace::task_yield(this) };
        header.worker.clear();
        // As soon as the stage says so, others may run the future and free it.
        let old = header.advance(|old| match old {
            stage::RUNNING => Some(stage::IDLE),
            _ => Some((old & !stage::MASK) | stage::QUEUED),
        });
        if old.is_some_and(|old| old != stage::RUNNING) {
            // SAFETY: We have set the stage.
            unsafe { Self::enqueue(this) };
        }
    }
}

/// What a spawned future is doing, for those who look on.
pub(super) enum Doing {
    /// It awaits something.
    Awaiting,
    /// It is on the workqueue.
    Queued,
    /// It is being polled, or dropped, by this thread if it is known.
    Running(Option<c_int>),
}

impl Spawned {
    /// What the future is doing, or was a moment ago.
    pub(super) fn doing(&self) -> Doing {
        match self.stage.load(Relaxed) & stage::MASK {
            stage::IDLE => Doing::Awaiting,
            stage::QUEUED => Doing::Queued,
            _ => Doing::Running(self.worker.get()),
        }
    }

    /// The address of the code that polls it.
    pub(super) fn code(&self) -> usize {
        self.ops.poll as usize
    }

    /// The cookie of the spawned future that this wakes, if it is one.
    // Tested by: kunit scopes_futures_and_cancelled_tasks_are_seen.
    pub(super) fn woken_by(waker: &Waker) -> Option<Cookie> {
        if !ptr::eq(waker.vtable(), &VTABLE) {
            return None;
        }
        // SAFETY: A waker with this table points to a `Spawned`, which it keeps, and which was submitted
        // before it was polled.
        Some(unsafe { Node::cookie_of(&raw const (*waker.data().cast::<Self>()).node) })
    }
}

/// Returns the spawned future whose node this is, if it is one's.
///
/// # Safety
///
/// `node` must be valid.
// Tested by: kunit tokens_and_unknown_cookies_are_left, kunit cancelled_futures_are_dropped_wherever_they_wait.
pub(super) unsafe fn spawned_of(node: NonNull<Node>) -> Option<NonNull<Spawned>> {
    // By the layout of `Spawned`: the node is its first field.
    //
    // SAFETY: The caller promises that the node is valid.
    unsafe { (*node.as_ptr()).has(flag::SPAWNED) }.then(|| node.cast())
}
