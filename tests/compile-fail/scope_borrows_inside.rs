// SPDX-License-Identifier: GPL-2.0

//! What is declared inside of a scope is gone before its tasks are waited for.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

fn count(domain: &AsyncDomain) -> Result {
    #[cfg(not(wicked))]
    let mut count = 0;

    domain.scope(|scope| -> Result {
        #[cfg(wicked)]
        let mut count = 0;

        // error[E0373]: closure may outlive the current function, but it borrows `count`
        scope.schedule(GFP_KERNEL, |_| count += 1)?;
        Ok(())
    })
}
