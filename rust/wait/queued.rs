// SPDX-License-Identifier: GPL-2.0

//! An entry from its waiter's side: queued, granted by a waker, or unlinked by the waiter itself.

use super::{
    entry::{
        wait_gone,
        wait_queue,
        wait_spurious,
        Entry, //
    },
    Filter,
    Locked,
    WaitQueue, //
};
use crate::ffi;

/// An entry that its waiter has queued.
///
/// # Invariants
///
/// `entry` was linked in `queue`, and only wakers of that queue, and this, unlink it. It is valid as long as this
/// exists.
pub(super) struct Queued<'a, T, F: Filter> {
    queue: &'a WaitQueue<T, F>,
    entry: *mut Entry<F>,
}

impl<'a, T, F: Filter> Queued<'a, T, F> {
    /// Links an entry.
    ///
    /// # Safety
    ///
    /// `entry` must be valid and unlinked, and stay valid and in place until [`Self::is_granted`] or
    /// [`Self::unless_granted`] has found it unlinked, or [`Linked::unlink`] was called; `locked` must be of `queue`.
    // Tested by: mutant unsorted-insertion, model wait-one.
    pub(super) unsafe fn link(
        queue: &'a WaitQueue<T, F>,
        entry: *mut Entry<F>,
        locked: &mut Locked<'_, T, F>,
    ) -> Self {
        // SAFETY: The entry is valid and unlinked, and stays; the queue's lock is held.
        let linked = unsafe {
            Entry::link(entry, locked.head());
            &*entry
        };

        locked.counts_mut().waits += 1;
        wait_queue(locked.head(), linked);
        // INVARIANT: It has just been linked.
        Self { queue, entry }
    }

    /// An entry that was linked before.
    ///
    /// # Safety
    ///
    /// [`Self::link`] must have linked the entry in the queue, and the entry stay as that says.
    pub(super) unsafe fn from_linked(queue: &'a WaitQueue<T, F>, entry: *mut Entry<F>) -> Self {
        // INVARIANT: By the safety requirements.
        Self { queue, entry }
    }

    /// The part of the entry that the kernel knows.
    pub(super) fn wait(&self) -> *mut ffi::wait_queue_entry {
        self.entry.cast()
    }

    // Tested by: mutant timeout-without-second-look, mutant future-poll-without-second-look.
    fn list(&self) -> *mut ffi::list_head {
        // SAFETY: By the type invariant the entry is valid.
        unsafe { Entry::list(self.entry) }
    }

    /// Whether a waker has unlinked the entry, as far as can be seen without the lock. If so, then everything that
    /// the waker did before is seen as well, and it does not touch the entry again.
    // Tested by: mutant timeout-without-second-look, mutant future-poll-without-second-look.
    pub(super) fn is_granted(&self) -> bool {
        // Pairs with `list_del_init_careful()` of the wake function.
        //
        // SAFETY: The entry is valid.
        unsafe { ffi::list_empty_careful(self.list()) }
    }

    /// Takes the lock, and calls `f` unless a waker has unlinked the entry.
    // Tested by: mutant timeout-without-second-look, mutant future-poll-without-second-look.
    pub(super) fn unless_granted<R>(
        &self,
        f: impl FnOnce(Linked<'_, T, F>, &mut Locked<'_, T, F>) -> R,
    ) -> Option<R> {
        let list = self.list();

        self.queue.with(|locked| {
            // SAFETY: The entry is valid, and linked and unlinked under the lock only.
            let is_linked = unsafe { (*list).next != list };

            // INVARIANT: The lock is held as long as `f` runs.
            is_linked.then(|| f(Linked(self), locked))
        })
    }

    /// The filter, with what the waker granted.
    // Tested by: mutant entry-written-after-autoremove, model wait-one.
    pub(super) fn granted(&self) -> Option<F> {
        if !self.is_granted() {
            return None;
        }
        // SAFETY: The entry is valid; its waiter alone touches an unlinked one.
        Some(unsafe { *(*self.entry).parts().1 })
    }
}

/// A queued entry that is linked, while its queue's lock is held.
///
/// # Invariants
///
/// As said.
pub(super) struct Linked<'a, T, F: Filter>(&'a Queued<'a, T, F>);

impl<T, F: Filter> Linked<'_, T, F> {
    /// Unlinks the entry: its waiter waits no more.
    // Tested by: mutant future-drop-leaves-entry, model wait-timeout.
    pub(super) fn unlink(self) {
        // SAFETY: By the type invariants the entry is valid and linked, and the lock held.
        let entry = unsafe {
            ffi::list_del_init(self.0.list());
            &*self.0.entry
        };

        wait_gone(self.0.queue.head(), entry);
    }

    /// The waiter ran, and sleeps again.
    // Tested by: mutant spurious-not-counted, kunit wakeups_race_with_grants.
    pub(super) fn sleeps_again(self, locked: &mut Locked<'_, T, F>) {
        locked.counts_mut().spurious += 1;
        // SAFETY: By the type invariants the entry is valid, and the lock held.
        wait_spurious(self.0.queue.head(), unsafe { &*self.0.entry });
    }
}
