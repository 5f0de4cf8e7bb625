// SPDX-License-Identifier: GPL-2.0

//! What `work` returns goes to `retire`, which another thread may run.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

#[cfg(wicked)]
type Buffer = *mut u8;
#[cfg(not(wicked))]
type Buffer = usize;

fn submit(domain: &AsyncDomain, work: fn() -> Buffer, retire: fn(Buffer)) -> Result {
    // error[E0277]: `*mut u8` cannot be sent between threads safely
    domain.schedule_ordered(GFP_KERNEL, move |_| work(), move |buffer, _| retire(buffer))?;
    Ok(())
}
