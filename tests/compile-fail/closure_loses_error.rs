// SPDX-License-Identifier: GPL-2.0

//! What a task returns would be lost: it must not return a `Result`.

use async_domain::AsyncDomain;
use kernel::prelude::*;

fn probe() -> Result {
    Err(ENODEV)
}

fn submit(domain: &AsyncDomain) -> Result {
    #[cfg(wicked)]
    // error[E0308]: expected `()`, found `Result<(), Error>`
    domain.schedule(|_| probe(), GFP_KERNEL)?;
    #[cfg(not(wicked))]
    domain.schedule_ordered(|_| probe(), |ret, _| assert!(ret.is_err()), GFP_KERNEL)?;
    Ok(())
}
