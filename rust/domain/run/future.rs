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

use crate::{
    domain::core::{
        cookie::Cookie,
        domain::AsyncDomain,
        future_header::{
            stage,
            Spawned,
            SpawnedRef, //
        },
        module_refs::ModuleRefs,
        running::{
            RunningTask,
            Worker, //
        },
        this_module::ThisModuleRef,
        trace, //
    },
    ffi::{
        self,
        HasWork, //
    },
    queue, //
};
use core::{
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
    }, //
};
use kernel::{
    prelude::*,
    sync::atomic::ordering::Full, //
};

// Tested by: mutant wake-of-queued-unordered, model spawn-woken.
static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: A waker is counted, and so the memory is there.
        unsafe { (*data.cast::<Spawned>()).refs.inc() };
        RawWaker::new(data, &VTABLE)
    },
    |data| {
        // SAFETY: A waker is counted; this is its reference.
        unsafe {
            (*data.cast::<Spawned>()).wake();
            Spawned::put(data.cast());
        }
    },
    // SAFETY: The waker, which keeps its reference, is counted.
    |data| unsafe { (*data.cast::<Spawned>()).wake() },
    // SAFETY: A waker is counted; this is its reference.
    |data| unsafe { Spawned::put(data.cast()) },
);

impl Spawned {
    /// Puts the future into the order of a domain, and on the workqueue.
    ///
    /// # Safety
    ///
    /// It must be initialised, with a future behind it that is `'static`. Unless this fails, it belongs
    /// to the executor from now on.
    // Tested by: kunit what_cannot_be_spawned_is_given_back, kunit
    //   modules_stay_until_future_and_waker_are_gone.
    pub(crate) unsafe fn submit(this: NonNull<Self>, domain: &AsyncDomain) -> Result<Cookie> {
        let own = ThisModuleRef::new()?;
        // SAFETY: It belongs to us until it is linked.
        let this = unsafe { SpawnedRef::new(this) };
        let module = this.ops.module;
        // SAFETY: The module is running.
        let kept = unsafe { ModuleRefs::get(module, domain) }?.into_raw();

        this.modules.set(kept);
        this.domain.set(domain);
        // SAFETY: It stays where it is until it is done. It is queued with the lock held, so that the futures of a
        // domain are first polled in cookie order. If it is not linked, then the references are still ours.
        unsafe {
            domain
                .link(this.node(), |_| this.enqueue())
                // This is dropped when the memory is freed.
                .inspect(|_| mem::forget(own))
                .inspect_err(|_| drop(ModuleRefs::from_raw(module, kept)))
        }
    }

    /// Hands the future over to the workqueue. It may be gone when this returns.
    ///
    /// # Safety
    ///
    /// The caller must have set the stage to [`stage::QUEUED`].
    // Tested by: mutant wake-during-poll-lost, model spawn-woken.
    unsafe fn enqueue(&self) {
        let (work, place) = (self.work(), self.place);

        // Somebody who cancels may have seen the stage before this, and be about to find that the item is
        // not on the queue: for a few instructions, with interrupts off.
        //
        // SAFETY: The work item is not on the queue, since nobody else has set the stage. It stays valid until its
        // work function has seen it.
        while !unsafe { queue::enqueue_on(&queue::POLLS, work, place) } {
            core::hint::spin_loop();
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
            unsafe { self.enqueue() };
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
            if queue::defer::<DeferredFree>(&*this) {
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
            drop(ThisModuleRef::from_raw());
        }
    }
}

/// A future that belongs to who has this: a worker that polls it, or who has cancelled it.
///
/// # Invariants
///
/// The future is there, and in the order of its domain unless it has dropped that. Nobody else polls or drops it.
#[must_use = "others wait for the future"]
pub(crate) struct OwnedFuture(SpawnedRef<'static>);

impl OwnedFuture {
    /// # Safety
    ///
    /// The caller must see to the invariants.
    // Tested by: model spawn-woken, model spawn-cancelled.
    unsafe fn new(future: NonNull<Spawned>) -> Self {
        // SAFETY: A future that is not done has a reference on its memory.
        // INVARIANT: The caller promises it.
        Self(unsafe { SpawnedRef::new(future) })
    }

    /// Makes a future one that is not polled any more. If it belongs to the caller now, returns it, to be
    /// [discarded](Self::discard). Else its worker will.
    ///
    /// # Safety
    ///
    /// It must be in the order of its domain, whose lock must be held.
    // Tested by: mutant cancelled-polled, model spawn-cancelled.
    pub(crate) unsafe fn cancel(future: SpawnedRef<'_>) -> Option<Self> {
        let old = future.advance(|old| match old & stage::MASK {
            stage::IDLE => Some(stage::QUEUED | stage::CANCELLED),
            stage::DONE => None,
            _ => Some(old | stage::CANCELLED),
        })?;
        let is_ours = match old & stage::MASK {
            stage::IDLE => true,
            // Somebody else may have taken it back, or be about to queue it, or a worker to begin with
            // it: then it is not on the queue.
            //
            // SAFETY: The work item is valid. Who queues it at the same time has set the stage, and
            // does so once; other cancellers wait for the lock.
            stage::QUEUED => unsafe { queue::cancel(future.work()) },
            _ => false,
        };

        // SAFETY: It was in nobody's hands, and is not queued again: it counts as queued.
        is_ours.then(|| unsafe { Self::new(future.as_ptr()) })
    }

    /// Drops a future that has been cancelled, and counts as finished then.
    pub(crate) fn discard(self) {
        // In an interrupt, `RunningTask` does not look at the thread.
        self.step(None, true);
        self.finish();
    }

    /// Polls the future, or drops it; returns whether it is done. On a worker, if there is one; or else in any thread.
    // Tested by: model spawn-woken, model spawn-cancelled.
    fn step(&self, worker: Option<&Worker>, cancelled: bool) -> bool {
        let future = self.0;
        // A waker without a reference, which it borrows from the task.
        //
        // SAFETY: The functions are those of a waker that points to a `Spawned`. It is not dropped.
        let waker = ManuallyDrop::new(unsafe {
            Waker::new(future.as_ptr().as_ptr().cast_const().cast(), &VTABLE)
        });
        let mut done = cancelled;
        let f = |_: &RunningTask| {
            let (this, ops) = (future.as_ptr(), future.ops);

            // SAFETY: The future belongs to us. It is not polled when it is done, nor dropped twice.
            unsafe {
                if cancelled {
                    trace::spawned_cancel(&future);
                    (ops.discard)(this);
                } else {
                    trace::poll_start(&future);
                    done = (ops.poll)(this, &mut task::Context::from_waker(&waker));
                }
            }
        };

        let (domain, node, opener) = (future.domain.get(), future.node(), ptr::null());
        // SAFETY: The node is in the order of the domain, unless that is null.
        let attached = unsafe {
            match worker {
                Some(worker) => {
                    AsyncDomain::lockdep_task(domain, || worker.enter(domain, node, opener, f))
                }
                None => RunningTask::enter_nested(domain, node, opener, f),
            }
        };
        if !attached {
            // INVARIANT: The future has dropped its domain, which has forgotten the node.
            future.domain.set(ptr::null());
        }
        done
    }

    /// The future has been dropped: counts as finished. The memory is this module's alone from now on.
    // Tested by: kunit each_future_is_run_and_dropped_once, kunit modules_stay_until_future_and_waker_are_gone.
    fn finish(self) {
        let this = self.0;
        // SAFETY: `submit` has given the references to the future, which is gone.
        let mut modules = unsafe { ModuleRefs::from_raw(this.ops.module, this.modules.get()) };

        this.stage.xchg(stage::DONE, Full);
        if let Some(domain) = this.domain() {
            // SAFETY: The node is in the order of the domain, which is not used afterwards.
            unsafe { domain.finish_elsewhere(this.node(), || modules.put()) };
        }
        // SAFETY: The reference is the task's, which is done.
        unsafe { Spawned::put(this.as_ptr().as_ptr()) };
        drop(modules);
    }
}

/// A future without references, whose memory could not be freed where the last one was dropped.
#[cfg(CONFIG_PREEMPT_RT)]
struct DeferredFree;

#[cfg(CONFIG_PREEMPT_RT)]
// SAFETY: `run` does not touch the work item after it has been freed.
// Tested by: model spawn-woken, model spawn-cancelled.
unsafe impl ffi::WorkFunction for DeferredFree {
    type Item = Spawned;

    // Tested by: model spawn-woken, model spawn-cancelled.
    unsafe fn run(this: NonNull<Spawned>) {
        // SAFETY: Nobody has a reference on it.
        unsafe { Spawned::free(this.as_ptr()) };
    }
}

// SAFETY: `run` does not touch the work item after it has left the future to others.
// Tested by: model spawn-woken, model spawn-cancelled.
unsafe impl ffi::WorkFunction for Spawned {
    type Item = Self;

    // Tested by: model spawn-woken, model spawn-cancelled.
    unsafe fn run(this: NonNull<Self>) {
        // SAFETY: What is on the queue is not done, and so valid. It belongs to the worker that begins with it.
        let future = unsafe { OwnedFuture::new(this) };
        let header = future.0;

        let old = header.advance(|old| Some((old & !stage::MASK) | stage::RUNNING));
        let cancelled = old.is_some_and(|old| old & stage::CANCELLED != 0);
        // SAFETY: A worker runs one item at a time, and so is not inside another task.
        let worker = unsafe { Worker::new() };

        header.worker.set(worker.pid());
        let done = future.step(Some(&worker), cancelled);
        drop(worker);
        if done {
            future.finish();
            return;
        }

        trace::task_yield(&header);
        header.worker.clear();
        // As soon as the stage says so, others may run the future and free it.
        let old = header.advance(|old| match old {
            stage::RUNNING => Some(stage::IDLE),
            _ => Some((old & !stage::MASK) | stage::QUEUED),
        });
        if old.is_some_and(|old| old != stage::RUNNING) {
            // SAFETY: We have set the stage.
            unsafe { header.enqueue() };
        }
    }
}

impl Spawned {
    /// The cookie of the spawned future that this wakes, if it is one.
    // Tested by: kunit scopes_futures_and_cancelled_tasks_are_seen.
    pub(crate) fn woken_by(waker: &Waker) -> Option<Cookie> {
        if !ptr::eq(waker.vtable(), &VTABLE) {
            return None;
        }
        // SAFETY: A waker with this table points to a `Spawned`, which it keeps, and which was submitted
        // before it was polled.
        Some(unsafe { &*waker.data().cast::<Self>() }.node.cookie())
    }
}
