// SPDX-License-Identifier: GPL-2.0

//! Nor can a target be kept that was made of a scope.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

fn keep(domain: &AsyncDomain) -> Result {
    #[cfg(wicked)]
    // error: lifetime may not live long enough
    let _target = domain.scope(|scope| scope.on_node(0))?;
    #[cfg(not(wicked))]
    domain.scope(|scope| -> Result {
        scope.on_node(0)?.schedule(GFP_KERNEL, |_| ())?;
        Ok(())
    })?;
    Ok(())
}
