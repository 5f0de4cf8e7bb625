// SPDX-License-Identifier: GPL-2.0

//! The shortest useful consumer: slow things in parallel, seen in order.

use async_domain::{
    new_async_domain,
    OwnedDomain, //
    Submit,
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

module! {
    type: Minimal,
    name: "minimal",
    authors: ["The async_domain developers"],
    description: "Minimal sample of async_domain",
    license: "GPL",
}

struct Minimal {
    _bring_up: OwnedDomain,
}

impl kernel::Module for Minimal {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let bring_up = new_async_domain!("bring_up", GFP_KERNEL)?;

        for i in 0..4 {
            bring_up.schedule(GFP_KERNEL, move |context| {
                // The slow part, in parallel: the first one takes the longest.
                fsleep(Delta::from_millis(100 - 20 * i));
                // The visible part, in order.
                if context.synchronize().is_ok() {
                    pr_info!("device {i} is up (cookie {})\n", context.cookie());
                }
            })?;
        }
        Ok(Self {
            _bring_up: bring_up,
        })
    }
}
