// SPDX-License-Identifier: GPL-2.0

//! Where tasks are placed is part of a domain's borrow.

use async_domain::{
    new_async_domain,
    Submit, //
};
use kernel::prelude::*;

fn place() -> Result {
    let placed = {
        let domain = new_async_domain!(GFP_KERNEL)?;
        #[cfg(wicked)]
        // error[E0597]: `domain` does not live long enough
        let placed = domain.on_node(0)?;
        #[cfg(not(wicked))]
        let placed = domain.on_node(0)?.schedule(GFP_KERNEL, |_| ())?;
        placed
    };
    let _ = placed;
    Ok(())
}
