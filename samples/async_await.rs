// SPDX-License-Identifier: GPL-2.0

//! Futures on the module's executor: each step waits for another one, and no thread sleeps for it.

use async_domain::{
    new_async_domain,
    Cookie,
    OwnedDomain, //
    Submit,
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta, //
    },
};

module! {
    type: AsyncAwait,
    name: "async_await",
    authors: ["The async_domain developers"],
    description: "Futures sample of async_domain",
    license: "GPL",
}

/// The module cannot be unloaded while there are unfinished futures.
struct AsyncAwait {
    _steps: OwnedDomain,
}

/// What is done when the disks are there, written down as one does it.
async fn mount(disks: Arc<OwnedDomain>, first: Cookie, second: Cookie) -> Result {
    disks.synchronize_async(GFP_KERNEL, ..=first).await?;
    pr_info!("the first disk is there: read its label\n");
    disks.synchronize_async(GFP_KERNEL, ..=second).await?;
    pr_info!("the second disk is there: mount the array\n");
    Ok(())
}

impl kernel::Module for AsyncAwait {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let disks = Arc::new(new_async_domain!("disks", GFP_KERNEL)?, GFP_KERNEL)?;
        let steps = new_async_domain!("steps", GFP_KERNEL)?;
        let spin_up = |delay| {
            // Slow, in parallel.
            disks.schedule(GFP_KERNEL, move |_| fsleep(Delta::from_millis(delay)))
        };
        let (first, second) = (spin_up(50)?, spin_up(100)?);

        // Owns what it uses, and is polled whenever one of the disks has come.
        let mounted = mount(disks.clone(), first, second);
        steps.spawn(GFP_KERNEL, async move {
            if let Err(e) = mounted.await {
                pr_err!("not mounted: {e:?}\n");
            }
        })?;
        Ok(Self { _steps: steps })
    }
}
