// SPDX-License-Identifier: GPL-2.0

//! The domain keeps a task's error; a value would be lost, and needs a handle.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

fn probe() -> Result<u32> {
    Err(ENODEV)
}

fn submit(domain: &AsyncDomain) -> Result {
    #[cfg(wicked)]
    // error[E0277]: the trait bound `core::result::Result<u32, kernel::error::Error>: Outcome` is not satisfied
    domain.schedule(GFP_KERNEL, |_| probe())?;
    #[cfg(not(wicked))]
    domain
        .schedule_with_handle(GFP_KERNEL, |_| probe())?
        .join()??;
    Ok(())
}
