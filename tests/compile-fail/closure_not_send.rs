// SPDX-License-Identifier: GPL-2.0

//! A task runs in another thread, and must not own what cannot go there.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

#[cfg(wicked)]
struct Bound(kernel::types::NotThreadSafe);
#[cfg(not(wicked))]
struct Bound(());

fn submit(domain: &AsyncDomain, bound: Bound) -> Result {
    // error[E0277]: cannot be sent between threads safely
    domain.schedule(GFP_KERNEL, move |_| drop(bound))?;
    Ok(())
}
