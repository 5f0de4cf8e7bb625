// SPDX-License-Identifier: GPL-2.0

//! Waiting without a thread: a wait entry whose wake function calls a [`Waker`].
//!
//! Such an entry cannot be in a frame. It is not in the future either, although that is pinned while it
//! is polled: safe code can free a pinned future without dropping it (by initialising it in a
//! `MaybeUninit`). So the entry has an allocation of its own, which the future owns, and frees when the
//! entry has been unlinked. If the future is lost, then the entry is leaked: it remains valid, and linked
//! until a waker is satisfied with it, and its neighbours may unlink themselves past it. When the queue is
//! dropped, which the futures borrow, only such entries can be linked, which nobody touches again.

use super::{
    entry::Entry,
    queued::Queued,
    Filter,
    Locked,
    WaitQueue, //
};
use crate::ffi;
use core::{
    mem,
    task::{
        Context,
        Poll,
        Waker, //
    },
};
use kernel::{
    alloc::Flags,
    prelude::*,
    types::Opaque, //
};

/// An entry that belongs to a future, in memory of its own.
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
    // Tested by: mutant future-unlinked-before-call, mutant unlink-without-care.
    unsafe fn call_waker(wait: *mut ffi::wait_queue_entry, key: *mut c_void, ret: c_int) -> c_int {
        // SAFETY: The filter of this linked entry is satisfied.
        unsafe { Entry::<F>::grant(wait, key) };

        // The future that this calls for may be polled at once, on another CPU: it finds the entry
        // linked, takes the lock to make sure, and gets it when the entry is not linked any more.
        //
        // SAFETY: By the caller's promise this is a `WakerEntry`. By its invariant there is a waker,
        // which nobody changes while we hold the lock. The entry is valid: a future that is to be
        // dropped sees it linked, and so waits for the lock.
        unsafe { (*wait.cast::<Self>()).waker.wake_by_ref() };

        // Last: a future that sees the entry unlinked may free it without having had the lock.
        //
        // SAFETY: The entry is still linked, and the lock is held.
        unsafe { ffi::list_del_init_careful(&raw mut (*wait).entry) };
        ret
    }
}

// SAFETY: `wake` judges as `Entry` does, and unlinks at most the entry that it was called for. It calls the waker,
// which should neither sleep nor take the lock (see `Waiting::poll`): what was said of filters is true of it.
// Tested by: mutant future-unlinked-before-call, mutant unlink-without-care.
unsafe impl<F: Filter> ffi::WakeFunction for WakerEntry<F> {
    #[inline(always)]
    // Tested by: mutant future-unlinked-before-call, mutant unlink-without-care.
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

/// The memory of an entry. `Opaque`: others see it while the future is borrowed.
///
/// # Invariants
///
/// The waker is initialised. When this is dropped, the entry is not linked.
struct EntryBox<F>(KBox<Opaque<WakerEntry<F>>>);

impl<F> EntryBox<F> {
    /// Allocates an entry of which only the waker is initialised.
    // Tested by: mutant future-keeps-old-waker, mutant future-poll-without-second-look.
    fn new(waker: &Waker, flags: Flags) -> Result<Self> {
        // INVARIANT: The waker is initialised below; the entry is not linked.
        let this = Self(KBox::new(Opaque::uninit(), flags)?);

        // SAFETY: The memory is valid for writing, and not initialised.
        unsafe { (&raw mut (*this.get()).waker).write(waker.clone()) };
        Ok(this)
    }

    fn get(&self) -> *mut WakerEntry<F> {
        self.0.get()
    }
}

impl<F> Drop for EntryBox<F> {
    // Tested by: mutant future-drop-leaves-entry, mutant future-drop-without-lock.
    fn drop(&mut self) {
        // SAFETY: By the type invariants there is a waker, which no wake function uses: the entry is not linked.
        unsafe { (&raw mut (*self.get()).waker).drop_in_place() };
    }
}

/// How far a future has come.
enum Stage<F> {
    /// It has not been polled.
    New,
    /// The entry and its waker are initialised. It has been linked, and a waker may have unlinked it.
    Linked(EntryBox<F>),
    /// The entry, if there was one, has been unlinked and freed.
    Done(Result),
}

/// The part of a future that waits in a queue. It can be moved at any time.
///
/// # Invariants
///
/// The entry is what `stage` says, and linked in no other queue than `queue`.
pub(crate) struct Waiting<'a, T, F: Filter> {
    queue: &'a WaitQueue<T, F>,
    stage: Stage<F>,
}

// SAFETY: Wakers and filters may be sent to other threads, and so may be a reference to a queue if it
// is `Sync`. The entry is touched by its owner, and by others under the lock.
// Tested by: nothing.
unsafe impl<T: Send, F: Filter> Send for Waiting<'_, T, F> {}
// SAFETY: Nothing can be done through a shared reference.
// Tested by: nothing.
unsafe impl<T: Send, F: Filter> Sync for Waiting<'_, T, F> {}

impl<'a, T, F: Filter> Waiting<'a, T, F> {
    /// Makes the part of a future that has not been polled.
    pub(crate) fn new(queue: &'a WaitQueue<T, F>) -> Self {
        // INVARIANT: There is no entry.
        Self {
            queue,
            stage: Stage::New,
        }
    }

    /// Polls: what [`WaitQueue::wait`] does, but that the waker of `cx` is called where a thread
    /// would be woken.
    ///
    /// `check` is called once, under the lock, at the first poll, which allocates the entry with `flags`;
    /// if that fails, the future gives `ENOMEM`. When a waker of the queue has found its filter satisfied,
    /// then the next poll gives `Ok`; the data is not looked at again. A future that is ready stays so.
    ///
    /// The [`Waker`] is called under the queue's lock with interrupts off: it must not sleep, nor
    /// reach the queue. It is cloned and dropped without the lock.
    // Tested by: mutant future-keeps-old-waker, mutant future-poll-without-second-look.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        flags: Flags,
        check: impl FnOnce(&mut Locked<'_, T, F>) -> Result<Option<F>>,
    ) -> Poll<Result> {
        let ret = match &self.stage {
            Stage::New => match self.begin(cx.waker(), flags, check) {
                Ok(Some(entry)) => {
                    // INVARIANT: It was linked in `queue`.
                    self.stage = Stage::Linked(entry);
                    return Poll::Pending;
                }
                ret => ret.map(|_| ()),
            },
            Stage::Linked(entry) => {
                if !self.is_granted(entry, cx.waker()) {
                    return Poll::Pending;
                }
                // The entry has been seen unlinked, so that nobody else uses it, and it is freed below.
                Ok(())
            }
            Stage::Done(ret) => return Poll::Ready(*ret),
        };

        self.stage = Stage::Done(ret);
        Poll::Ready(ret)
    }

    /// Links an entry, and returns it, if there is something to wait for.
    // Tested by: mutant future-keeps-old-waker, mutant future-poll-without-second-look.
    fn begin(
        &self,
        waker: &Waker,
        flags: Flags,
        check: impl FnOnce(&mut Locked<'_, T, F>) -> Result<Option<F>>,
    ) -> Result<Option<EntryBox<F>>> {
        let memory = EntryBox::new(waker, flags)?;
        let entry = memory.get();

        let linked = self.queue.with(|locked| {
            let Some(filter) = check(locked)? else {
                return Ok(false);
            };

            // SAFETY: The memory is valid for writing. It stays until the entry is unlinked: it is freed
            // by `poll` and `drop` only.
            unsafe {
                (&raw mut (*entry).entry).write(Entry::with_function::<WakerEntry<F>>(filter));
                Queued::link(self.queue, entry.cast(), locked);
            }
            Ok::<_, Error>(true)
        })?;

        Ok(linked.then_some(memory))
    }

    /// The entry of [`Stage::Linked`].
    // Tested by: mutant future-drop-leaves-entry, mutant future-poll-without-second-look.
    fn queued(&self, entry: &EntryBox<F>) -> Queued<'a, T, F> {
        // SAFETY: By the type invariant `begin` has linked it in this queue; `poll` and `drop` alone free it.
        unsafe { Queued::from_linked(self.queue, entry.get().cast()) }
    }

    /// Whether a waker of the queue has unlinked the entry; if not, it will call this [`Waker`].
    // Tested by: mutant future-keeps-old-waker, mutant future-poll-without-second-look.
    fn is_granted(&self, entry: &EntryBox<F>, waker: &Waker) -> bool {
        let queued = self.queued(entry);
        let entry = entry.get();

        if queued.is_granted() {
            return true;
        }
        // SAFETY: The waker is initialised, and changed by ourselves only.
        let mut other = unsafe { !(*entry).waker.will_wake(waker) }.then(|| waker.clone());

        // Under the lock: we may have been polled by a wake function that has yet to unlink us.
        let waits = queued.unless_granted(|_, _| {
            if let Some(other) = &mut other {
                // SAFETY: The lock is held, so that no wake function uses the waker. The old one is
                // dropped after the lock has been given back.
                unsafe { mem::swap(&mut (*entry).waker, other) };
            }
        });
        waits.is_none()
    }
}

impl<T, F: Filter> Drop for Waiting<'_, T, F> {
    // Tested by: mutant future-drop-leaves-entry, mutant future-drop-without-lock.
    fn drop(&mut self) {
        let Stage::Linked(entry) = &self.stage else {
            return;
        };
        let queued = self.queued(entry);

        if !queued.is_granted() {
            queued.unless_granted(|entry, _| entry.unlink());
        }
    }
}
