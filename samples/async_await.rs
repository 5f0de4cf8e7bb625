// SPDX-License-Identifier: GPL-2.0

//! Futures on the module's executor: each step waits for another one, and no thread sleeps for it.

use async_domain::{
    new_async_domain,
    Cookie,
    OwnedDomain, //
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
    disks.wait(first.next(), GFP_KERNEL).await?;
    pr_info!("the first disk is there: read its label\n");
    disks.wait(second.next(), GFP_KERNEL).await?;
    pr_info!("the second disk is there: mount the array\n");
    Ok(())
}

impl kernel::Module for AsyncAwait {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let disks = Arc::new(new_async_domain!("disks", GFP_KERNEL)?, GFP_KERNEL)?;
        let steps = new_async_domain!("steps", GFP_KERNEL)?;
        let spin_up = |delay| {
            disks.schedule(
                move |_| fsleep(Delta::from_millis(delay)), // Slow, in parallel.
                GFP_KERNEL,
            )
        };
        let (first, second) = (spin_up(50)?, spin_up(100)?);

        // Owns what it uses, and is polled whenever one of the disks has come.
        let mounted = mount(disks.clone(), first, second);
        steps.spawn(
            async move {
                if let Err(e) = mounted.await {
                    pr_err!("not mounted: {e:?}\n");
                }
            },
            GFP_KERNEL,
        )?;
        Ok(Self { _steps: steps })
    }
}
