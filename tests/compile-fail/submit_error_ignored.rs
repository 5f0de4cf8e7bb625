// SPDX-License-Identifier: GPL-2.0

//! A submission that fails gives the closure back, which must not go unnoticed.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

fn submit(domain: &AsyncDomain) -> Result {
    #[cfg(wicked)]
    // error[unused_must_use]: Result` that must be used
    domain.schedule(GFP_KERNEL, |_| ());
    #[cfg(not(wicked))]
    domain.schedule(GFP_KERNEL, |_| ())?;
    Ok(())
}
