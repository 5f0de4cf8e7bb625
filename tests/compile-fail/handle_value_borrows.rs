// SPDX-License-Identifier: GPL-2.0

//! A task that gives a value may outlive the frame that submitted it, like any other.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

fn sum(domain: &AsyncDomain) -> Result<u32> {
    let row = [1, 2, 3];

    #[cfg(wicked)]
    // error[E0373]: closure may outlive the current function, but it borrows `row`
    let sum = domain.schedule_with_handle(GFP_KERNEL, |_| row.iter().sum())?;
    #[cfg(not(wicked))]
    let sum = domain.schedule_with_handle(GFP_KERNEL, move |_| row.iter().sum())?;
    sum.join()
}
