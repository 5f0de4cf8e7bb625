// SPDX-License-Identifier: GPL-2.0

//! Two tasks of a scope do not change the same thing.

use async_domain::AsyncDomain;
use kernel::prelude::*;

fn count(domain: &AsyncDomain) -> Result<u32> {
    let (mut a, mut b) = (0, 0);

    domain.scope(|scope| -> Result {
        scope.schedule(|_| a += 1, GFP_KERNEL)?;
        #[cfg(wicked)]
        // error[E0499]: cannot borrow `a` as mutable more than once at a time
        scope.schedule(|_| a += 1, GFP_KERNEL)?;
        #[cfg(not(wicked))]
        scope.schedule(|_| b += 1, GFP_KERNEL)?;
        Ok(())
    })?;
    b += 1;
    Ok(a + b)
}
