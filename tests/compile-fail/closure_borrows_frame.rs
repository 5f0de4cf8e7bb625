// SPDX-License-Identifier: GPL-2.0

//! A task may outlive the frame that submitted it, and so must not borrow from it.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

fn count(domain: &AsyncDomain) -> Result {
    let mut count = 0;

    #[cfg(wicked)]
    // error[E0373]: closure may outlive the current function, but it borrows `count`
    domain.schedule(GFP_KERNEL, |_| count += 1)?;
    #[cfg(not(wicked))]
    domain.scope(|scope| scope.schedule(GFP_KERNEL, |_| count += 1).map(|_| ()))?;

    Ok(())
}
