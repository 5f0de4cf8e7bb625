// SPDX-License-Identifier: GPL-2.0

//! A task of a scope runs in another thread, too.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

#[cfg(wicked)]
type Count = core::cell::Cell<u32>;
#[cfg(not(wicked))]
type Count = kernel::sync::atomic::Atomic<u32>;

fn share(domain: &AsyncDomain, count: &Count) -> Result {
    domain.scope(|scope| -> Result {
        // error[E0277]: `Cell<u32>` cannot be shared between threads safely
        scope.schedule(GFP_KERNEL, |_| assert!(size_of_val(count) > 0))?;
        Ok(())
    })
}
