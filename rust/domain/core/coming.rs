// SPDX-License-Identifier: GPL-2.0

//! The modules that have got a reference while they were coming: their reference count does not keep them.
//!
//! There are as many in the registry's list as are being loaded at this moment, until they are live or gone. They are
//! compared only: a stale one, of a module that came alive or went just then, does no harm.

use super::registry;
use crate::ffi;
use kernel::prelude::*;

/// A module that is coming is about to get a reference. Fails with `ENOMEM`. May be called in any context.
#[cold]
#[inline(never)]
pub(crate) fn expect(module: *mut ffi::module) -> Result {
    registry::locked(|registry| {
        let modules = &mut registry.coming;

        if !modules.contains(&module) {
            modules.push(module, GFP_ATOMIC)?;
        }
        Ok(())
    })
}

pub(crate) fn is_expected(module: *mut ffi::module) -> bool {
    registry::locked(|registry| registry.coming.contains(&module))
}

pub(crate) fn forget(module: *mut ffi::module) {
    registry::locked(|registry| {
        let modules = &mut registry.coming;

        modules.retain(|other| *other != module);
        if modules.is_empty() {
            *modules = KVec::new();
        }
    });
}
