// SPDX-License-Identifier: GPL-2.0

//! A task of a scope runs in another thread, too.

use async_domain::AsyncDomain;
use core::cell::Cell;
use kernel::prelude::*;

fn count(domain: &AsyncDomain) -> Result<u32> {
    #[cfg(wicked)]
    let count = Cell::new(0);
    #[cfg(wicked)]
    let shared = &count;
    #[cfg(not(wicked))]
    let mut count = Cell::new(0);
    #[cfg(not(wicked))]
    let shared = &mut count;

    // error[E0277]: `Cell<u32>` cannot be shared between threads safely
    domain.scope(|scope| scope.schedule(|_| shared.set(1), GFP_KERNEL).map(|_| ()))?;
    Ok(count.get())
}
