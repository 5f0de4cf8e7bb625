// SPDX-License-Identifier: GPL-2.0

//! Cookies come from domains: one that was made up might lie above all tasks.

use async_domain::{
    AsyncDomain,
    Cookie, //
};
use kernel::prelude::*;

fn wait(domain: &AsyncDomain) -> Result {
    #[cfg(wicked)]
    // error[E0423]: cannot initialize a tuple struct which contains private fields
    let cookie = Cookie(5);
    #[cfg(not(wicked))]
    let cookie = Cookie::now();

    domain.synchronize(..cookie)
}
