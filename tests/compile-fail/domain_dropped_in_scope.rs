// SPDX-License-Identifier: GPL-2.0

//! A domain that somebody waits for cannot be dropped.

use async_domain::{
    OwnedDomain,
    Submit, //
};
use kernel::prelude::*;

fn run(domain: OwnedDomain) -> Result {
    // error[E0505]: cannot move out of `domain` because it is borrowed
    domain.scope(|scope| -> Result {
        scope.schedule(GFP_KERNEL, |_| ())?;
        #[cfg(wicked)]
        drop(domain);
        Ok(())
    })?;
    #[cfg(not(wicked))]
    drop(domain);
    Ok(())
}
