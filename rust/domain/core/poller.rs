// SPDX-License-Identifier: GPL-2.0

//! The module that polls a future, and is held while the future waits.

use super::module_refs::{
    Caller,
    ModuleRefs, //
};
use crate::ffi;
use kernel::prelude::*;

/// What is linked may be called, and what it calls may be the code of the module that waits. That would be gone, had the
/// future been leaked: so the module is held from the first poll that waits until the future is dropped.
pub(crate) struct Poller {
    module: Option<*mut ffi::module>,
    _refs: ModuleRefs,
}

// SAFETY: The module is only compared.
// Tested by: model future-dropped, model future-polled.
unsafe impl Send for Poller {}
// SAFETY: As a number, which does not change.
// Tested by: model future-dropped, model future-polled.
unsafe impl Sync for Poller {}

impl Poller {
    /// Nobody, so far.
    pub(crate) const fn none() -> Self {
        Self {
            module: None,
            _refs: ModuleRefs::none(),
        }
    }

    /// Notes who polls. At the first time it takes the references that `get` gives, which may find instead that there is
    /// nothing to wait for; returns whether there is.
    ///
    /// # Errors
    ///
    /// `EBUSY`: another module has polled it before. And those of `get`.
    pub(crate) fn is(
        &mut self,
        module: Caller,
        get: impl FnOnce() -> Result<Option<ModuleRefs>>,
    ) -> Result<bool> {
        match self.module {
            Some(earlier) if earlier != module.as_ptr() => return Err(EBUSY),
            Some(_) => return Ok(true),
            None => (),
        }
        let Some(refs) = get()? else {
            return Ok(false);
        };
        *self = Self {
            module: Some(module.as_ptr()),
            _refs: refs,
        };
        Ok(true)
    }
}
