// SPDX-License-Identifier: GPL-2.0

//! The waiters of a queue, for those that show them.

use super::{
    entry::Entry,
    waker::WakerEntry,
    Filter,
    Locked, //
};
use crate::ffi;

/// Who waits in a [`WaitQueue`], as seen under its lock.
pub(crate) enum Waiter<'a> {
    /// A thread, which is valid: it cannot return before its entry has been unlinked.
    Thread(*mut ffi::task_struct),
    /// A future that is polled by whoever has this waker.
    Future(&'a core::task::Waker),
}

impl<T, F: Filter> Locked<'_, T, F> {
    /// Calls `f` with the filter of each waiter, in the queue's order, and with who it is. Under the
    /// lock: what it says of a waiter holds for as long.
    // Tested by: kunit waiters_are_seen_in_order, kunit scopes_futures_and_cancelled_tasks_are_seen.
    pub(crate) fn for_each_waiter(&self, mut f: impl FnMut(&F, Waiter<'_>)) {
        let f = |entry: *const Entry<F>| {
            // SAFETY: The entry is linked, and the lock is held, so that it stays as it is.
            let (thread, filter) = unsafe { ((*entry).wait.private, (*entry).linked_filter()) };
            let waiter = if thread.is_null() {
                // SAFETY: By the invariant of `Entry`. A linked one has a waker, which nobody changes
                // while the lock is held.
                Waiter::Future(unsafe { &(*entry.cast::<WakerEntry<F>>()).waker })
            } else {
                Waiter::Thread(thread.cast())
            };

            f(filter, waiter);
        };

        // SAFETY: The lock is held. By the type invariant all entries are of type `Entry<F>`.
        unsafe { Entry::<F>::for_each(self.queue.head.get(), f) }
    }
}
