// SPDX-License-Identifier: GPL-2.0

//! What a task of a scope writes is there after the scope, not in it.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

fn count(domain: &AsyncDomain) -> Result<u32> {
    let mut count = 0;

    domain.scope(|scope| -> Result {
        scope.schedule(GFP_KERNEL, |_| count += 1)?;
        #[cfg(wicked)]
        // error[E0503]: cannot use `count` because it was mutably borrowed
        assert!(count > 0);
        Ok(())
    })?;
    Ok(count)
}
