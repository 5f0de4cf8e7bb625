// SPDX-License-Identifier: GPL-2.0

//! The library as a part of the kernel, where it is no module. See also `builtin.c`.

use crate::module::AsyncDomainModule;
use core::mem::ManuallyDrop;
use kernel::prelude::*;

/// What the printing macros put before each message, as `module!` would say.
pub(crate) const __LOG_PREFIX: &[u8] = b"async_domain\0";

/// Makes everything ready. An earlier initcall than that of `module!`, since all that is built into
/// the kernel and begins there may use the library, whatever order it is linked in.
///
/// # Safety
///
/// Only `builtin.c` may call this, once.
#[no_mangle]
// Tested by: test kernel-tree.
unsafe extern "C" fn async_domain_builtin_init() -> c_int {
    // SAFETY: Called once, by the caller's promise, before the initcalls of consumers.
    match unsafe { AsyncDomainModule::new() } {
        Ok(module) => {
            // It is there for ever.
            let _ = ManuallyDrop::new(module);
            0
        }
        Err(error) => error.to_errno(),
    }
}
