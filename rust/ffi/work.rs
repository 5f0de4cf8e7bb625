// SPDX-License-Identifier: GPL-2.0

//! Work items and workqueues.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use super::names::{
    work_struct,
    workqueue_struct, //
};
use crate::lock_class;
use kernel::{
    bindings,
    prelude::*, //
};

/// Runs a work item: the `func` of `struct work_struct`.
///
/// # Safety
///
/// `run` must not touch the work item once it may have been freed.
pub(crate) unsafe trait WorkFunction {
    /// Is called once for each time that the item was queued, in process context.
    ///
    /// # Safety
    ///
    /// `work` was initialised with the implementing type's [`work_function`] and is valid until
    /// this function, or another thread that it tells, frees it.
    unsafe fn run(work: *mut work_struct);
}

/// The work function that the kernel calls for items of type `T`.
///
/// # Safety
///
/// Only the kernel may call it, through the `func` of an item of type `T`.
// Tested by: kunit each_closure_is_called_and_dropped_once.
pub(crate) unsafe extern "C" fn work_function<T: WorkFunction>(work: *mut work_struct) {
    // SAFETY: The kernel passes the item that was queued, which is still valid.
    unsafe { T::run(work) }
}

/// Initialises a work item to run `T` (C's `INIT_WORK()`).
///
/// # Safety
///
/// `work` must be valid for writing, and not queued.
#[inline]
// Tested by: kunit the_last_queued_task_takes_the_dispatcher_off_the_workqueue.
pub(crate) unsafe fn init_work<T: WorkFunction>(work: *mut work_struct) {
    // SAFETY: `work` is valid for writing and idle; name and key are static.
    unsafe {
        bindings::init_work_with_key(
            work,
            Some(work_function::<T>),
            false,
            lock_class::WORK.name().as_char_ptr(),
            lock_class::WORK.key().as_ptr(),
        )
    }
}

/// Makes an unbound workqueue for up to `max_active` items at a time.
// Tested by: kunit the_last_queued_task_takes_the_dispatcher_off_the_workqueue.
pub(crate) fn alloc_unbound_workqueue(
    name: &'static CStr,
    max_active: c_int,
) -> *mut workqueue_struct {
    // SAFETY: The format is a C string, and takes the one argument that is passed.
    unsafe {
        bindings::alloc_workqueue_noprof(
            c"%s".as_char_ptr(),
            bindings::wq_flags_WQ_UNBOUND,
            max_active,
            name.as_char_ptr(),
        )
    }
}

/// Let any CPU run the item (C's `WORK_CPU_UNBOUND`).
pub(crate) const WORK_CPU_UNBOUND: c_int = bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int;
