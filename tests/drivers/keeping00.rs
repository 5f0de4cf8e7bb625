// SPDX-License-Identifier: GPL-2.0

//! A module that keeps a token from its init function on. Copies of it differ by their names.

#![forbid(unsafe_code)]

use async_domain::{
    new_async_domain,
    OwnedDomain,
    Token, //
};
use kernel::prelude::*;

module! {
    type: Keeping,
    name: "keeping00",
    description: "Has something in flight while it is loaded",
    license: "GPL",
}

struct Keeping {
    _token: Token,
    _domain: OwnedDomain,
}

impl kernel::Module for Keeping {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let domain = new_async_domain!("kept", GFP_KERNEL)?;

        Ok(Self {
            _token: domain.begin(GFP_KERNEL)?,
            _domain: domain,
        })
    }
}
