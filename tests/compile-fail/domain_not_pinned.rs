// SPDX-License-Identifier: GPL-2.0

//! A domain does not move: it cannot be made where it is not pinned.

use async_domain::{
    new_async_domain,
    AsyncDomain, //
};
use kernel::prelude::*;

fn make() -> Result {
    #[cfg(wicked)]
    // error[E0277]: Init<AsyncDomain, _>` is not satisfied
    let domain = KBox::<AsyncDomain>::init(new_async_domain!(), GFP_KERNEL)?;
    #[cfg(not(wicked))]
    let domain = KBox::<AsyncDomain>::pin_init(new_async_domain!(), GFP_KERNEL)?;

    domain.synchronize_full()
}
