// SPDX-License-Identifier: GPL-2.0

//! A module that leaves tasks behind when it fails to load.

#![forbid(unsafe_code)]

use async_domain::{
    new_async_domain,
    static_domain,
    OwnedDomain,
    Submit,
    TaskContext, //
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
    type: Failing,
    name: "failing",
    description: "Fails to load",
    license: "GPL",
}

static_domain!(static SHARED);
static_domain!(static EXCLUSIVE, exclusive);

struct Failing;

fn slow(name: &'static str, millis: i64) -> impl FnOnce(&TaskContext<'_>) + Send + 'static {
    move |_| {
        fsleep(Delta::from_millis(millis));
        pr_info!("{name}\n");
    }
}

impl kernel::Module for Failing {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        SHARED.schedule(GFP_KERNEL, slow("shared", 300))?;
        EXCLUSIVE.schedule(GFP_KERNEL, slow("exclusive", 300))?;
        EXCLUSIVE.schedule_ordered(GFP_KERNEL, slow("work", 300), |(), context| {
            slow("retire", 300)(context)
        })?;

        let leaked = new_async_domain!("leaked", GFP_KERNEL)?;
        leaked.schedule(GFP_KERNEL, slow("leaked", 300))?;
        core::mem::forget(leaked);

        // A task that owns its domain, and drops it, and goes on for longer than all others.
        let own = Arc::new(new_async_domain!("own", GFP_KERNEL)?, GFP_KERNEL)?;
        let domain: Arc<OwnedDomain> = own.clone();
        own.schedule(GFP_KERNEL, move |context| {
            fsleep(Delta::from_millis(100));
            drop(domain);
            slow("own", 1500)(context);
        })?;
        drop::<Arc<OwnedDomain>>(own);
        Err(EIO)
    }
}
