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
            Spawned, //
        },
        module_refs::ModuleRefs,
        pending::Node,
        running::{
            RunningTask,
            Worker, //
        },
        this_module::ThisModuleRef,
        trace, //
    },
    ffi,
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
    container_of,
    prelude::*,
    sync::atomic::ordering::Full,
    types::Opaque, //
};

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
        // SAFETY: It belongs to us until it is linked. Its module is running; the owner of the domain
        // is valid by the domain's invariant. It is queued with the lock held, so that the futures
        // of a domain are first polled in cookie order.
        unsafe {
            let (header, ops) = (this.as_ptr(), (*this.as_ptr()).ops);
            let kept = ModuleRefs::get(ops.module, domain)?.into_raw();

            (*header).modules.set(kept);
            (*header).domain.set(domain);
            domain
                .link(&raw mut (*header).node, |_| Self::enqueue(this))
                // This is dropped when the memory is freed.
                .inspect(|_| mem::forget(own))
                .inspect_err(|_| drop(ModuleRefs::from_raw(ops.module, kept)))
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
    pub(crate) unsafe fn cancel(this: NonNull<Self>) -> bool {
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
    pub(crate) unsafe fn discard(this: NonNull<Self>) {
        // SAFETY: It is valid, and its node in the order of its domain unless that is null; it belongs
        // to us. In an interrupt, `RunningTask` does not look at the thread.
        unsafe {
            let header = this.as_ptr();
            let node = &raw mut (*header).node;
            let discard = (*header).ops.discard;
            let domain = (*header).domain.get();
            let attached = RunningTask::enter_nested(domain, node, ptr::null(), |_| discard(this));

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
            let mut modules = ModuleRefs::from_raw((*header).ops.module, (*header).modules.get());

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
            if queue::defer::<DeferredFree>(Opaque::cast_into(&raw const (*this).work)) {
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

/// A future without references, whose memory could not be freed where the last one was dropped.
#[cfg(CONFIG_PREEMPT_RT)]
struct DeferredFree;

#[cfg(CONFIG_PREEMPT_RT)]
// SAFETY: `run` does not touch the work item after it has been freed.
// Tested by: model spawn-woken, model spawn-cancelled.
unsafe impl ffi::WorkFunction for DeferredFree {
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
        let step = |_: &RunningTask| {
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

impl Spawned {
    /// The cookie of the spawned future that this wakes, if it is one.
    // Tested by: kunit scopes_futures_and_cancelled_tasks_are_seen.
    pub(crate) fn woken_by(waker: &Waker) -> Option<Cookie> {
        if !ptr::eq(waker.vtable(), &VTABLE) {
            return None;
        }
        // SAFETY: A waker with this table points to a `Spawned`, which it keeps, and which was submitted
        // before it was polled.
        Some(unsafe { Node::cookie_of(&raw const (*waker.data().cast::<Self>()).node) })
    }
}
