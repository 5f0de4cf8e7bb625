// SPDX-License-Identifier: GPL-2.0

//! Wake functions of wait queue entries.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)

use super::names::wait_queue_entry;
use kernel::prelude::*;

/// Handles a wake-up of one entry of a wait queue: the `func` of `struct wait_queue_entry`.
///
/// # Safety
///
/// `wake` must keep the contract of a wait queue function (`__wake_up_common()` in
/// [`kernel/sched/wait.c`](srctree/kernel/sched/wait.c)): it neither sleeps nor takes the head's
/// lock, and unlinks no other entry than its own.
pub(crate) unsafe trait WakeFunction {
    /// Is called with the head's lock held and interrupts off. A negative return value ends the
    /// walk, a positive one says that the waiter was woken.
    ///
    /// # Safety
    ///
    /// `entry` is linked in a queue of the implementing type's entries, whose lock is held, and
    /// `key` is what this queue's waker passes.
    unsafe fn wake(
        entry: *mut wait_queue_entry,
        mode: c_uint,
        flags: c_int,
        key: *mut c_void,
    ) -> c_int;
}

/// The wake function that the kernel calls for entries of type `T`.
///
/// # Safety
///
/// Only the kernel may call it, through the `func` of an entry of type `T`.
// Tested by: mutant entry-written-after-autoremove, model wait-one.
pub(crate) unsafe extern "C" fn wake_function<T: WakeFunction>(
    entry: *mut wait_queue_entry,
    mode: c_uint,
    flags: c_int,
    key: *mut c_void,
) -> c_int {
    // SAFETY: The kernel calls a wake function for linked entries and with the lock held; the key
    // comes unchanged from the waker of this queue.
    unsafe { T::wake(entry, mode, flags, key) }
}
