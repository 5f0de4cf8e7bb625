// SPDX-License-Identifier: GPL-2.0

//! A domain does not move: it cannot be made where it is not pinned.

use async_domain::{
    new_async_domain,
    AsyncDomain, //
};
use kernel::prelude::*;

#[cfg(wicked)]
fn make() -> Result<KBox<AsyncDomain>> {
    // error[E0277]: Init<AsyncDomain, _>` is not satisfied
    KBox::init(new_async_domain!(), GFP_KERNEL)
}

#[cfg(not(wicked))]
fn make() -> Result<Pin<KBox<AsyncDomain>>> {
    KBox::pin_init(new_async_domain!(), GFP_KERNEL)
}
