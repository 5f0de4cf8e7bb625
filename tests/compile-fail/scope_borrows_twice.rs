// SPDX-License-Identifier: GPL-2.0

//! Two tasks of a scope do not change the same thing.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

fn count(domain: &AsyncDomain) -> Result<u32> {
    let (mut a, mut b) = (0, 0);

    domain.scope(|scope| -> Result {
        scope.schedule(GFP_KERNEL, |_| a += 1)?;
        #[cfg(wicked)]
        // error[E0499]: cannot borrow `a` as mutable more than once at a time
        scope.schedule(GFP_KERNEL, |_| a += 1)?;
        #[cfg(not(wicked))]
        scope.schedule(GFP_KERNEL, |_| b += 1)?;
        Ok(())
    })?;
    b += 1;
    Ok(a + b)
}
