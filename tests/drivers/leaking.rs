// SPDX-License-Identifier: GPL-2.0

//! A module that leaves a token behind when it fails to load.

#![forbid(unsafe_code)]

use async_domain::new_async_domain;
use kernel::prelude::*;

module! {
    type: Leaking,
    name: "leaking",
    description: "Fails to load",
    license: "GPL",
}

struct Leaking;

impl kernel::Module for Leaking {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let domain = new_async_domain!("leaked", GFP_KERNEL)?;

        core::mem::forget(domain.begin(GFP_KERNEL)?);
        core::mem::forget(domain);
        Err(EIO)
    }
}
