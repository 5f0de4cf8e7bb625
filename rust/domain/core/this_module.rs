// SPDX-License-Identifier: GPL-2.0

//! References on this very module, held by what may outlive its consumers.
//!
//! Usually this module stays because its consumers depend on it. What the kernel or a stranger may
//! still hold when all consumers are gone, such as a clone of a waker, holds a reference of its own.

use crate::{
    errno::ESHUTDOWN,
    ffi, //
};
use kernel::prelude::*;

/// This module. Never inlined, since it would be another one in another crate.
#[inline(never)]
fn own_module() -> *mut ffi::module {
    ffi::this_module()
}

/// A reference on this module.
pub(crate) struct ThisModuleRef(());

impl ThisModuleRef {
    /// Takes a reference; may be called in any context. Fails with `ESHUTDOWN` if this module is being
    /// unloaded.
    #[inline(never)]
    // Tested by: kunit modules_stay_until_future_and_waker_are_gone.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: It is this module, which is running.
        if unsafe { ffi::try_module_get(own_module()) } {
            Ok(Self(()))
        } else {
            Err(ESHUTDOWN)
        }
    }

    /// Takes over a reference that was forgotten.
    ///
    /// # Safety
    ///
    /// There must be one, which is taken over once.
    pub(crate) unsafe fn from_raw() -> Self {
        Self(())
    }
}

impl Drop for ThisModuleRef {
    // What is left to be done when the reference is dropped, such as to return from here, is done in
    // this module: see `LastSteps`.
    #[inline(never)]
    // Tested by: kunit modules_stay_until_future_and_waker_are_gone.
    fn drop(&mut self) {
        // SAFETY: The reference was taken by `new`.
        unsafe { ffi::module_put(own_module()) };
    }
}
