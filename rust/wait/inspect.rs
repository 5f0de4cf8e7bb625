// SPDX-License-Identifier: GPL-2.0

//! The waiters of a queue, for debugfs.

use super::{
    entry::Entry,
    waker::WakerEntry,
    Filter,
    Locked, //
};
use crate::ffi;

/// A waiter of a [`WaitQueue`](super::WaitQueue), as seen under its lock.
pub(crate) enum Waiter<'a> {
    /// A thread, which is valid: it cannot return before its entry has been unlinked.
    Thread(*mut ffi::task_struct),
    /// A future, which this waker has polled.
    Future(&'a core::task::Waker),
}

impl<T, F: Filter> Locked<'_, T, F> {
    /// Calls `f` with the filter of each waiter, in the queue's order, and with the waiter, which stays as it is
    /// under the lock.
    // Tested by: kunit waiters_are_seen_in_order, kunit scopes_futures_and_cancelled_tasks_are_seen.
    pub(crate) fn for_each_waiter(&self, mut f: impl FnMut(&F, Waiter<'_>)) {
        let f = |entry: *const Entry<F>| {
            // SAFETY: The entry is valid and stays as it is, since the lock is held.
            let (thread, filter) = unsafe { &*entry }.parts();
            let waiter = if thread.is_null() {
                // SAFETY: By the invariant of `Entry`. A linked one has a waker, which does not change
                // while the lock is held.
                Waiter::Future(unsafe { &(*entry.cast::<WakerEntry<F>>()).waker })
            } else {
                Waiter::Thread(thread.cast())
            };

            f(filter, waiter);
        };

        // SAFETY: The lock is held. By the type invariant all entries are of type `Entry<F>`.
        unsafe { Entry::for_each(self.head(), f) };
    }
}
