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
pub(super) struct OwnRef(());

impl OwnRef {
    /// Takes a reference; may be called in any context. Fails with `ESHUTDOWN` if this module is being
    /// unloaded.
    #[inline(never)]
    // Tested by: kunit modules_stay_until_future_and_waker_are_gone.
    pub(super) fn new() -> Result<Self> {
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
    pub(super) unsafe fn from_forgotten() -> Self {
        Self(())
    }
}

impl Drop for OwnRef {
    // What is left to be done when the reference is dropped, such as to return from here, is done in
    // this module: see `LastSteps`.
    #[inline(never)]
    // Tested by: kunit modules_stay_until_future_and_waker_are_gone.
    fn drop(&mut self) {
        // SAFETY: The reference was taken by `new`.
        unsafe { ffi::module_put(own_module()) };
    }
}

/// Waits, when it is dropped, for those who have dropped their reference on this module but have not
/// yet left its code.
pub(crate) struct LastSteps(());

impl LastSteps {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl Drop for LastSteps {
    // Tested by: kunit modules_stay_until_future_and_waker_are_gone.
    fn drop(&mut self) {
        // They do not sleep any more: when each thread has slept or been in user space once, and each
        // interrupt has been left, then they are out. This is how the kernel frees trampolines. (Where it has
        // preemption, but no trampolines, this waits for less: see the limits in Documentation/guidelines.rst.)
        ffi::synchronize_rcu_tasks();
    }
}
