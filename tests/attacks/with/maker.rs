// SPDX-License-Identifier: GPL-2.0

//! Makes a domain, and gives it away by means of a device, with a token that is in flight until somebody has come.

#![forbid(unsafe_code)]

use async_domain::{
    new_async_domain,
    OwnedDomain,
    Token, //
};
use kernel::{
    auxiliary,
    device::{
        Bound,
        Device, //
    },
    faux,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    types::ForLt, //
};

module! {
    type: Maker,
    name: "maker",
    description: "Makes a domain for others",
    license: "GPL",
}

const NAME: &CStr = <LocalModule as kernel::ModuleMetadata>::NAME;

type Given = Mutex<Option<(Arc<OwnedDomain>, Token)>>;

/// Dropped in this order.
struct Maker {
    _device: auxiliary::Registration<'static, ForLt!(Given)>,
}

impl kernel::Module for Maker {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // It stays, since what is registered refers to it for as long as it says.
        let parent: &'static faux::Registration =
            KBox::leak(KBox::new(faux::Registration::new(NAME, None)?, GFP_KERNEL)?);
        let parent: &'static faux::Device<Bound> = parent.as_ref();
        let parent: &'static Device<Bound> = parent.as_ref();
        let domain = Arc::new(new_async_domain!("given_away", GFP_KERNEL)?, GFP_KERNEL)?;
        let token = domain.begin(GFP_KERNEL)?;

        Ok(Self {
            _device: auxiliary::Registration::new(
                parent,
                c"domain",
                0,
                NAME,
                new_mutex!(Some((domain, token))),
            )?,
        })
    }
}
