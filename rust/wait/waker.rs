// SPDX-License-Identifier: GPL-2.0

//! Waiting without a thread: a wait entry whose wake function calls a [`Waker`].
//!
//! Such an entry lives in a pinned future instead of a frame. Pinning promises that the memory of a
//! future is not used for anything else before the future has been dropped, and dropping it unlinks
//! the entry. What is leaked instead stays where it is: the entry remains valid, and linked until a
//! waker is satisfied with it, and its neighbours may unlink themselves past it. When the queue is
//! dropped, which the futures borrow, only entries of leaked futures can be linked, which nobody
//! touches again.

use super::{
    entry::{
        wait_gone,
        wait_queue,
        Entry, //
    },
    Filter,
    Locked,
    WaitQueue, //
};
use crate::ffi;
use core::{
    mem,
    pin::Pin,
    task::{
        Context,
        Poll,
        Waker, //
    },
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// An entry that belongs to a future.
///
/// # Invariants
///
/// While the entry is linked, `waker` is initialised, and changed by the future only, under the
/// queue's lock.
#[repr(C)]
pub(super) struct WakerEntry<F> {
    entry: Entry<F>,
    pub(super) waker: Waker,
}

impl<F: Filter> WakerEntry<F> {
    /// Calls the waker of an entry that is satisfied, and unlinks the entry. Returns `ret`.
    ///
    /// # Safety
    ///
    /// As for [`Entry::grant`]; the entry must be the first field of a `WakerEntry`.
    #[inline(never)]
    unsafe fn call_waker(wait: *mut ffi::wait_queue_entry, key: *mut c_void, ret: c_int) -> c_int {
        // SAFETY: By the caller's promise.
        unsafe { Entry::<F>::grant(wait, key) };

        // The future that this calls for may be polled at once, on another CPU: it finds the entry
        // linked, takes the lock to make sure, and gets it when the entry is not linked any more.
        //
        // SAFETY: By the caller's promise this is a `WakerEntry`. By its invariant there is a waker,
        // which nobody changes while we hold the lock. The entry is valid: a future that is to be
        // dropped sees it linked, and so waits for the lock.
        unsafe { (*wait.cast::<Self>()).waker.wake_by_ref() };

        // Last, since whoever sees the entry unlinked may free it without having had the lock.
        //
        // SAFETY: As above; the entry is linked, and the lock is held.
        unsafe { ffi::list_del_init_careful(&raw mut (*wait).entry) };
        ret
    }
}

// SAFETY: `wake` judges as `Entry` does, and unlinks at most the entry that it was called for. It calls the waker,
// which should neither sleep nor take the lock (see `Waiting::poll`): what was said of filters is true of it.
unsafe impl<F: Filter> ffi::WakeFunction for WakerEntry<F> {
    #[inline(always)]
    unsafe fn wake(
        wait: *mut ffi::wait_queue_entry,
        _mode: c_uint,
        _flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        // SAFETY: A linked entry with this function is first in a `WakerEntry`, in a queue of filters of
        // type `F`; the lock is held, and the key is what this queue's waker passes.
        unsafe {
            match Entry::<F>::judge(wait, key) {
                Ok(ret) => Self::call_waker(wait, key, ret),
                Err(ret) => ret,
            }
        }
    }
}

/// How far a future has come.
#[derive(Clone, Copy)]
enum Stage {
    /// The entry is not initialised.
    New,
    /// The entry and its waker are initialised. It has been linked, and a waker may have unlinked it.
    Linked,
    /// The entry is unlinked, and its waker dropped.
    Done(Result),
}

/// The part of a future that waits in a queue.
///
/// # Invariants
///
/// `entry` is what `stage` says, and linked in no other queue than `queue`.
pub(crate) struct Waiting<'a, T, F: Filter> {
    queue: &'a WaitQueue<T, F>,
    stage: Stage,
    // `Opaque`: others see it while the future is borrowed; it is pinned, and not dropped by itself.
    entry: Opaque<WakerEntry<F>>,
}

// SAFETY: Wakers and filters may be sent to other threads, and so may be a reference to a queue if it
// is `Sync`. The entry is touched by its owner, and by others under the lock.
unsafe impl<T: Send, F: Filter> Send for Waiting<'_, T, F> {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl<T: Send, F: Filter> Sync for Waiting<'_, T, F> {}

impl<'a, T, F: Filter> Waiting<'a, T, F> {
    /// Makes the part of a future that has not been polled.
    pub(crate) fn new(queue: &'a WaitQueue<T, F>) -> Self {
        // INVARIANT: The entry is not initialised.
        Self {
            queue,
            stage: Stage::New,
            entry: Opaque::uninit(),
        }
    }

    /// Polls: what [`WaitQueue::wait`] does, but that the waker of `cx` is called where a thread
    /// would be woken.
    ///
    /// `check` is called once, under the lock, at the first poll. When a waker of the queue has found
    /// its filter satisfied, then the next poll gives `Ok`; the data is not looked at again. A future
    /// that is ready stays so.
    ///
    /// The [`Waker`] is called under the queue's lock with interrupts off: it must not sleep, nor
    /// reach the queue. It is cloned and dropped without the lock.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        check: impl FnOnce(&mut Locked<'_, T, F>) -> Result<Option<F>>,
    ) -> Poll<Result> {
        // SAFETY: The entry is not moved.
        let this = unsafe { self.get_unchecked_mut() };

        match this.stage {
            Stage::New => this.begin(cx.waker(), check),
            Stage::Linked => {
                if !this.is_granted(cx.waker()) {
                    return Poll::Pending;
                }
                // SAFETY: By the type invariant there is a waker, and the entry has been seen
                // unlinked, so that nobody else uses it.
                unsafe { this.finish() };
                this.stage = Stage::Done(Ok(()));
                Poll::Ready(Ok(()))
            }
            Stage::Done(ret) => Poll::Ready(ret),
        }
    }

    /// The first poll.
    fn begin(
        &mut self,
        waker: &Waker,
        check: impl FnOnce(&mut Locked<'_, T, F>) -> Result<Option<F>>,
    ) -> Poll<Result> {
        let entry = self.entry.get();

        // SAFETY: The memory is valid for writing, and not initialised.
        unsafe { (&raw mut (*entry).waker).write(waker.clone()) };
        let linked = self.queue.with(|locked| {
            let Some(filter) = check(locked)? else {
                return Ok(false);
            };

            // SAFETY: The memory is valid for writing. It is pinned, and the entry is unlinked before
            // it is dropped. The lock is held; by the type invariant the head holds entries with
            // filters of this type only.
            unsafe {
                (&raw mut (*entry).entry).write(Entry::with_function::<WakerEntry<F>>(filter));
                // INVARIANT: There is a waker.
                Entry::<F>::link(entry.cast(), self.queue.head.get());
                wait_queue::<F>(self.queue.head.get(), entry.cast());
            }
            locked.counts_mut().waits += 1;
            Ok(true)
        });

        let ret = match linked {
            Ok(true) => {
                self.stage = Stage::Linked;
                return Poll::Pending;
            }
            Ok(false) => Ok(()),
            Err(e) => Err(e),
        };
        // SAFETY: The waker was written above, and the entry was not linked.
        unsafe { self.finish() };
        self.stage = Stage::Done(ret);
        Poll::Ready(ret)
    }

    /// Whether a waker of the queue has unlinked the entry; if not, it will call this [`Waker`].
    ///
    /// The stage must be [`Stage::Linked`].
    fn is_granted(&mut self, waker: &Waker) -> bool {
        let entry = self.entry.get();
        // SAFETY: By the type invariant the entry is initialised.
        let list = unsafe { &raw mut (*entry).entry.wait.entry };

        // Pairs with `list_del_init_careful()` of the wake function.
        //
        // SAFETY: As above.
        if unsafe { ffi::list_empty_careful(list) } {
            return true;
        }
        // SAFETY: The waker is initialised, and changed by ourselves only.
        let mut other = unsafe { !(*entry).waker.will_wake(waker) }.then(|| waker.clone());

        // Under the lock: we may have been polled by a wake function that has yet to unlink us.
        self.queue.with(|_| {
            // SAFETY: The lock is held, under which the list changes.
            let granted = unsafe { (*list).next == list };

            if let (false, Some(other)) = (granted, &mut other) {
                // SAFETY: The lock is held, so that no wake function uses the waker. The old one is
                // dropped after the lock has been given back.
                unsafe { mem::swap(&mut (*entry).waker, other) };
            }
            granted
        })
    }

    /// Drops the waker.
    ///
    /// # Safety
    ///
    /// There must be one, and the entry must not be linked; the stage must be changed.
    unsafe fn finish(&mut self) {
        // SAFETY: By the caller's promise.
        unsafe { (&raw mut (*self.entry.get()).waker).drop_in_place() };
    }
}

impl<T, F: Filter> Drop for Waiting<'_, T, F> {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Linked) {
            return;
        }
        // SAFETY: By the type invariant the entry is initialised. The list is changed under the lock
        // only. An entry that is seen unlinked, with or without the lock, is not used by anybody
        // else.
        unsafe {
            let list = &raw mut (*self.entry.get()).entry.wait.entry;

            if !ffi::list_empty_careful(list) {
                self.queue.with(|_| {
                    if (*list).next != list {
                        ffi::list_del_init(list);
                        wait_gone::<F>(self.queue.head.get(), self.entry.get().cast());
                    }
                });
            }
            self.finish();
        }
    }
}
