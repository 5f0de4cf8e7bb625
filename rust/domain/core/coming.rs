// SPDX-License-Identifier: GPL-2.0

//! The modules that have got a reference while they were coming: their reference count does not keep them.

use super::registry;
use crate::ffi;
use core::cell::UnsafeCell;
use kernel::prelude::*;

/// The modules that have got a reference while they were coming, until they are live or gone. Compared only.
///
/// There are as many as are being loaded at this moment. A stale one, of a module that came alive or went
/// just then, does no harm.
struct Expected(UnsafeCell<KVec<*mut ffi::module>>);

// SAFETY: It is only touched under the registry's lock.
// Tested by: kunit any_number_of_modules_is_coming.
unsafe impl Sync for Expected {}

static EXPECTED: Expected = Expected(UnsafeCell::new(KVec::new()));

impl Expected {
    /// Runs `f` with the modules, under the registry's lock.
    // Tested by: mutant scope-does-not-wait, kunit tasks_borrow_from_the_caller.
    fn with<R>(&self, f: impl FnOnce(&mut KVec<*mut ffi::module>) -> R) -> R {
        // SAFETY: The lock is held, and there is no other way to the modules.
        registry::locked(|| f(unsafe { &mut *self.0.get() }))
    }
}

/// A module that is coming is about to get a reference. Fails with `ENOMEM`. May be called in any context.
#[cold]
#[inline(never)]
pub(crate) fn expect(module: *mut ffi::module) -> Result {
    EXPECTED.with(|modules| {
        if !modules.contains(&module) {
            modules.push(module, GFP_ATOMIC)?;
        }
        Ok(())
    })
}

pub(crate) fn is_expected(module: *mut ffi::module) -> bool {
    EXPECTED.with(|modules| modules.contains(&module))
}

pub(crate) fn forget(module: *mut ffi::module) {
    EXPECTED.with(|modules| {
        modules.retain(|other| *other != module);
        if modules.is_empty() {
            *modules = KVec::new();
        }
    });
}
