// SPDX-License-Identifier: GPL-2.0

//! A static domain believes what it is told about its place, so that only the macro makes one.

use async_domain::StaticDomain;
use kernel::{
    prelude::*,
    sync::LockClassKey, //
};

fn keys() -> [Pin<&'static LockClassKey>; 2] {
    [kernel::static_lock_class!(), kernel::static_lock_class!()]
}

#[cfg(wicked)]
// error[E0133]: call to unsafe function `StaticDomain::new` is unsafe
static PROBES: StaticDomain = StaticDomain::new(c"probes", false, keys);

#[cfg(not(wicked))]
async_domain::static_domain!(static PROBES);

fn probes() -> (
    &'static StaticDomain,
    fn() -> [Pin<&'static LockClassKey>; 2],
) {
    (&PROBES, keys)
}
