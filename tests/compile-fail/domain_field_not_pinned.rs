// SPDX-License-Identifier: GPL-2.0

//! A domain in a structure is pinned with it.

use async_domain::{
    new_async_domain,
    AsyncDomain, //
};
use kernel::prelude::*;

#[pin_data]
struct Driver {
    #[cfg(wicked)]
    domain: AsyncDomain,
    #[cfg(not(wicked))]
    #[pin]
    domain: AsyncDomain,
}

fn make() -> Result<Pin<KBox<Driver>>> {
    KBox::pin_init(
        pin_init!(Driver {
            // error[E0277]: Init<AsyncDomain
            domain <- new_async_domain!(),
        }),
        GFP_KERNEL,
    )
}
