// SPDX-License-Identifier: GPL-2.0

//! A token that nobody keeps is finished at once, which nobody wants.

use async_domain::AsyncDomain;
use kernel::prelude::*;

fn issue(domain: &AsyncDomain) -> Result {
    #[cfg(wicked)]
    // error[unused_must_use]: Token` that must be used
    domain.begin(GFP_KERNEL)?;
    #[cfg(not(wicked))]
    domain.begin(GFP_KERNEL)?.finish();
    Ok(())
}
