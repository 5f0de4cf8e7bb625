// SPDX-License-Identifier: GPL-2.0

//! A future may be woken when its scope is gone: scopes take none.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

fn spawn(domain: &AsyncDomain) -> Result {
    domain.scope(|scope| -> Result {
        #[cfg(wicked)]
        // error[E0521]: borrowed data escapes outside of closure
        scope.spawn(GFP_KERNEL, async {})?;
        #[cfg(not(wicked))]
        scope.schedule(GFP_KERNEL, |_| ())?;
        Ok(())
    })
}
