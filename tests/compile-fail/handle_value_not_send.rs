// SPDX-License-Identifier: GPL-2.0

//! The value of a task comes from another thread.

use async_domain::{
    AsyncDomain,
    Handle, //
    Submit,
};
use kernel::prelude::*;

#[cfg(wicked)]
type Address = *mut u8;
#[cfg(not(wicked))]
type Address = usize;

fn address(domain: &AsyncDomain, map: fn() -> Address) -> Result<Handle<Address>> {
    // error[E0277]: `*mut u8` cannot be sent between threads safely
    Ok(domain.schedule_with_handle(GFP_KERNEL, move |_| map())?)
}
