// SPDX-License-Identifier: GPL-2.0

//! The events of waiters, for those who watch; see [`crate::trace`].

use super::{
    entry::Entry,
    Filter, //
};
use crate::{
    ffi,
    trace::is_on, //
};
use kernel::prelude::*;

/// Defines the function that records one of the events.
macro_rules! event {
    ($(#[$doc:meta])* $name:ident, $tracepoint:ident, $record:ident) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// `entry` must be valid, and its filter not be changing; it may be unlinked. `queue` is only a name.
        #[inline(always)]
        pub(super) unsafe fn $name<F: Filter>(
            queue: *mut ffi::wait_queue_head,
            entry: *mut ffi::wait_queue_entry,
        ) {
            if is_on!($tracepoint) {
                // SAFETY: By the caller's promise.
                unsafe { record::<F>(ffi::$record, queue, entry) }
            }
        }
    };
}

event!(
    /// A waiter has been queued.
    wait_queue, __tracepoint_wait_queue, trace_wait_queue
);
event!(
    /// A waiter is about to be woken, since its condition has come true.
    wait_wake, __tracepoint_wait_wake, trace_wait_wake
);
event!(
    /// A waiter ran, and sleeps again.
    wait_vain, __tracepoint_wait_vain, trace_wait_vain
);
event!(
    /// A waiter was unlinked, and not by a waker.
    wait_gone, __tracepoint_wait_gone, trace_wait_gone
);

/// A waiter was looked at, and is left asleep. Returns `ret`, so that the wake function ends with a jump to
/// what records this: for a call it would save registers, for every waiter that it skips.
///
/// # Safety
///
/// As above.
#[inline(always)]
pub(super) unsafe fn wait_skip<F: Filter>(
    queue: *mut ffi::wait_queue_head,
    entry: *mut ffi::wait_queue_entry,
    ret: c_int,
) -> c_int {
    /// # Safety
    ///
    /// As above.
    #[cold]
    #[inline(never)]
    unsafe fn record_skip<F: Filter>(
        queue: *mut ffi::wait_queue_head,
        entry: *mut ffi::wait_queue_entry,
        ret: c_int,
    ) -> c_int {
        // SAFETY: By the caller's promise.
        unsafe { record::<F>(ffi::trace_wait_skip, queue, entry) };
        ret
    }

    if is_on!(__tracepoint_wait_skip) {
        // SAFETY: By the caller's promise.
        return unsafe { record_skip::<F>(queue, entry, ret) };
    }
    ret
}

/// # Safety
///
/// `entry` must be that of an `Entry<F>`, and as above.
#[cold]
#[inline(never)]
unsafe fn record<F: Filter>(
    record: unsafe extern "C" fn(*const c_void, *const ffi::wait_queue_entry, u64),
    queue: *mut ffi::wait_queue_head,
    entry: *mut ffi::wait_queue_entry,
) {
    // SAFETY: By the caller's promise; the event is called with a valid entry, whose thread, if it has one,
    // waits.
    unsafe { record(queue.cast(), entry, Entry::<F>::condition(entry.cast())) }
}
