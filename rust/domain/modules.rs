// SPDX-License-Identifier: GPL-2.0

//! References on the modules that an unfinished task needs.

use crate::ffi;
use core::{
    mem::ManuallyDrop,
    ptr, //
};
use kernel::prelude::*;

/// References on up to two modules: the one whose code a task runs, and the one whose memory the
/// domain may be in, if that is another one.
///
/// While they are held, `rmmod` of these modules is refused: also when the domain was leaked, or is
/// `static`, so that nobody waits for its tasks.
pub(super) struct ModuleRefs {
    submitter: *mut ffi::module,
    owner: *mut ffi::module,
}

// SAFETY: A module's reference count may be changed by any thread.
unsafe impl Send for ModuleRefs {}

impl ModuleRefs {
    /// Holds nothing.
    pub(super) const fn none() -> Self {
        Self {
            submitter: ptr::null_mut(),
            owner: ptr::null_mut(),
        }
    }

    /// Takes the references; may be called in any context. Null stands for the kernel itself.
    ///
    /// Fails with `ESHUTDOWN` if a module is being unloaded.
    ///
    /// # Safety
    ///
    /// Both must be null or valid modules.
    #[inline]
    pub(super) unsafe fn get(submitter: *mut ffi::module, owner: *mut ffi::module) -> Result<Self> {
        let mut refs = Self::none();

        // SAFETY: `submitter` is null or valid.
        if !unsafe { ffi::try_module_get(submitter) } {
            return Err(ESHUTDOWN);
        }
        refs.submitter = submitter;

        if owner != submitter {
            // SAFETY: `owner` is null or valid.
            if !unsafe { ffi::try_module_get(owner) } {
                return Err(ESHUTDOWN);
            }
            refs.owner = owner;
        }
        Ok(refs)
    }
}

impl ModuleRefs {
    /// Keeps the references, and returns the owner's module if it is not the submitter's.
    #[inline]
    pub(super) fn into_owner(self) -> *mut ffi::module {
        ManuallyDrop::new(self).owner
    }

    /// Takes over references that were kept.
    ///
    /// # Safety
    ///
    /// They must come from [`Self::into_owner`], with this submitter, and be taken over once.
    #[inline]
    pub(super) unsafe fn from_raw(submitter: *mut ffi::module, owner: *mut ffi::module) -> Self {
        Self { submitter, owner }
    }
}

impl Drop for ModuleRefs {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Each is null, or a module on which `get` has taken a reference.
        unsafe {
            ffi::module_put(self.submitter);
            ffi::module_put(self.owner);
        }
    }
}
