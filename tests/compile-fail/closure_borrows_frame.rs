// SPDX-License-Identifier: GPL-2.0

//! A task may outlive the frame that submitted it, and so must not borrow from it.

use async_domain::AsyncDomain;
use kernel::prelude::*;

fn count(domain: &AsyncDomain) -> Result {
    let mut count = 0;

    #[cfg(wicked)]
    // error[E0373]: closure may outlive the current function, but it borrows `count`
    domain.schedule(|_| count += 1, GFP_KERNEL)?;
    #[cfg(not(wicked))]
    domain.scope(|scope| scope.schedule(|_| count += 1, GFP_KERNEL).map(|_| ()))?;

    Ok(())
}
