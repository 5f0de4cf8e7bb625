// SPDX-License-Identifier: GPL-2.0

//! Kernel threads and faux devices for the test suites.

use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// The function of a kernel thread of the test suites.
pub(crate) trait ThreadFunction {
    /// Runs in the thread.
    fn run(self);
}

/// The thread function that the kernel calls for a boxed `T`.
///
/// # Safety
///
/// `data` must come from [`KBox<T>::into_raw`](KBox::into_raw).
pub(crate) unsafe extern "C" fn thread_function<T: ThreadFunction>(data: *mut c_void) -> c_int {
    // SAFETY: `data` comes from `KBox::into_raw()`.
    let start = unsafe { KBox::<T>::from_raw(data.cast()) };
    KBox::into_inner(start).run();
    0
}

/// The driver of a faux device of the test suites.
pub(crate) trait FauxDriver {
    /// Is called when the device is bound; may fail with an errno.
    fn probe(device: *mut bindings::device) -> c_int;
    /// Is called when it is unbound.
    fn remove(device: *mut bindings::device);
}

/// A faux device with a driver, both removed on drop.
pub(crate) struct FauxDevice(*mut bindings::faux_device);

// SAFETY: A faux device may be removed by any thread.
// Tested by: nothing: The suites themselves.
unsafe impl Send for FauxDevice {}

impl FauxDevice {
    /// Makes a device and binds it; fails with `ENODEV`.
    pub(crate) fn new<T: FauxDriver>(name: &CStr) -> Result<Self> {
        /// # Safety
        ///
        /// `device` must be valid.
        unsafe extern "C" fn probe<T: FauxDriver>(device: *mut bindings::faux_device) -> c_int {
            // SAFETY: The kernel passes a valid device.
            T::probe(unsafe { &raw mut (*device).dev })
        }
        /// # Safety
        ///
        /// `device` must be valid.
        unsafe extern "C" fn remove<T: FauxDriver>(device: *mut bindings::faux_device) {
            // SAFETY: The kernel passes a valid device.
            T::remove(unsafe { &raw mut (*device).dev })
        }
        struct Ops<T>(PhantomData<T>);
        impl<T: FauxDriver> Ops<T> {
            const OPS: bindings::faux_device_ops = bindings::faux_device_ops {
                probe: Some(probe::<T>),
                remove: Some(remove::<T>),
            };
        }

        // SAFETY: The name is copied, and the functions are static.
        let device = unsafe {
            bindings::faux_device_create(name.as_char_ptr(), ptr::null_mut(), &Ops::<T>::OPS)
        };
        if device.is_null() {
            return Err(ENODEV);
        }
        Ok(Self(device))
    }

    pub(crate) fn device(&self) -> *mut bindings::device {
        // SAFETY: The device is valid until it is dropped.
        unsafe { &raw mut (*self.0).dev }
    }
}

impl Drop for FauxDevice {
    fn drop(&mut self) {
        // SAFETY: The device was made by `new`, and is removed once.
        unsafe { bindings::faux_device_destroy(self.0) };
    }
}
