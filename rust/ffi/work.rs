// SPDX-License-Identifier: GPL-2.0

//! Work items and workqueues.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use super::names::{
    work_struct,
    workqueue_struct, //
};
use crate::lock_class;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// What has a work item in it; implemented by [`impl_has_work!`].
///
/// # Safety
///
/// `OFFSET` must be the offset of a field of type `Opaque<work_struct>`.
pub(crate) unsafe trait HasWork: Sized {
    /// Where the work item is.
    const OFFSET: usize;

    /// The work item.
    #[inline]
    fn work(&self) -> *mut work_struct {
        // It is within `self`.
        ptr::from_ref(self)
            .wrapping_byte_add(Self::OFFSET)
            .cast_mut()
            .cast()
    }
}

/// Says in which field a type has its work item.
// Tested by: kunit each_closure_is_called_and_dropped_once.
macro_rules! impl_has_work {
    ($type:ty, $field:ident) => {
        // SAFETY: This compiles only if the field is a work item.
        unsafe impl $crate::ffi::HasWork for $type {
            const OFFSET: usize = {
                let _: fn(&Self) -> &::kernel::types::Opaque<$crate::ffi::work_struct> =
                    |this| &this.$field;

                ::core::mem::offset_of!($type, $field)
            };
        }
    };
}
pub(crate) use impl_has_work;

/// Runs a work item: the `func` of `struct work_struct`.
///
/// # Safety
///
/// `run` must not touch the work item once it may have been freed.
pub(crate) unsafe trait WorkFunction {
    /// What the work item is in.
    type Item: HasWork;

    /// Is called once for each time that the item was queued, in process context.
    ///
    /// # Safety
    ///
    /// The work item of `item` was initialised with the implementing type's [`work_function`], and is valid until
    /// this function, or another thread that it tells, frees it.
    unsafe fn run(item: NonNull<Self::Item>);
}

/// The work function that the kernel calls for items of type `T`.
///
/// # Safety
///
/// Only the kernel may call it, through the `func` of an item of type `T`.
// Tested by: kunit each_closure_is_called_and_dropped_once.
pub(crate) unsafe extern "C" fn work_function<T: WorkFunction>(work: *mut work_struct) {
    // SAFETY: The kernel passes the item that was queued, which is still valid, and at this offset of its container.
    unsafe {
        let item = work.byte_sub(T::Item::OFFSET).cast::<T::Item>();

        T::run(NonNull::new_unchecked(item))
    }
}

/// Initialises the work item of a container to run `T` (C's `INIT_WORK()`).
///
/// # Safety
///
/// `item` must be valid, but for the work item, which must be valid for writing and not queued. What `T` does to the
/// container must be allowed when it is queued.
#[inline]
// Tested by: kunit the_last_queued_task_takes_the_dispatcher_off_the_workqueue.
pub(crate) unsafe fn init_work<T: WorkFunction>(item: &T::Item) -> *mut work_struct {
    let work = item.work();

    // SAFETY: `work` is valid for writing and idle; name and key are static.
    unsafe {
        bindings::init_work_with_key(
            work,
            Some(work_function::<T>),
            false,
            lock_class::WORK.name().as_char_ptr(),
            lock_class::WORK.key().as_ptr(),
        )
    };
    work
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
