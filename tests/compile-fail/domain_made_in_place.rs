// SPDX-License-Identifier: GPL-2.0

//! A domain cannot be initialised in memory of the caller's, which may be freed without it. Its owner can.

use async_domain::new_async_domain;
use kernel::prelude::*;

fn make() -> Result {
    let domain = new_async_domain!(GFP_KERNEL);

    #[cfg(wicked)]
    // error[E0277]: PinInit<AsyncDomain
    let domain = KBox::<async_domain::AsyncDomain>::pin_init(domain, GFP_KERNEL)?;
    #[cfg(not(wicked))]
    let domain = KBox::<async_domain::OwnedDomain>::pin_init(domain, GFP_KERNEL)?;

    domain.synchronize(..)
}
