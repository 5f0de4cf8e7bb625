// SPDX-License-Identifier: GPL-2.0

//! A driver in another source tree.

use async_domain::{
    static_domain,
    Submit, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

module! {
    type: MyDriver,
    name: "my_driver",
    description: "A driver in another source tree",
    license: "GPL",
}

static_domain!(static DOMAIN);

struct MyDriver;

impl kernel::Module for MyDriver {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        for i in 0..3 {
            DOMAIN.schedule(GFP_KERNEL, move |context| {
                fsleep(Delta::from_millis(1500 - 500 * i));
                if context.synchronize().is_ok() {
                    pr_info!("task {i}\n");
                }
            })?;
        }
        Ok(Self)
    }
}

impl Drop for MyDriver {
    fn drop(&mut self) {
        pr_info!("unloaded\n");
    }
}
