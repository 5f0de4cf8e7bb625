// SPDX-License-Identifier: GPL-2.0

//! A domain is made with its owner, and cannot be initialised in memory that is freed without it.

use async_domain::{
    new_async_domain,
    AsyncDomain, //
};
use core::mem::MaybeUninit;
use kernel::prelude::*;
use pin_init::Wrapper;

fn make() -> Result {
    let domain = new_async_domain!(GFP_KERNEL)?;

    #[cfg(wicked)]
    // error[E0277]: Init<AsyncDomain, kernel::error::Error>` is not satisfied
    let domain = MaybeUninit::<AsyncDomain>::pin_init::<Error>(domain);
    // Which holds the owner.
    #[cfg(not(wicked))]
    let domain = MaybeUninit::pin_init::<Error>(domain);

    drop(KBox::pin_init(domain, GFP_KERNEL)?);
    Ok(())
}
