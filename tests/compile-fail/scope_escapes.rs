// SPDX-License-Identifier: GPL-2.0

//! A scope cannot be kept: nobody would wait for what is submitted to it later.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

fn keep(domain: &AsyncDomain) -> Result {
    #[cfg(wicked)]
    // error: lifetime may not live long enough
    domain.scope(|scope| scope).schedule(GFP_KERNEL, |_| ())?;
    #[cfg(not(wicked))]
    domain.scope(|scope| scope.schedule(GFP_KERNEL, |_| ()).map(|_| ()))?;
    Ok(())
}
