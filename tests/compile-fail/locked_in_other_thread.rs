// SPDX-License-Identifier: GPL-2.0

//! A lock is held by a thread, and not lent to another one.

use async_domain::{
    wait::{
        Filter,
        WaitQueue, //
    },
    AsyncDomain,
    Cookie, //
    Submit,
};
use kernel::prelude::*;

fn lend<F: Filter>(domain: &AsyncDomain, queue: &WaitQueue<u64, F>) -> Result<Cookie> {
    queue.with(|locked| {
        #[cfg(wicked)]
        let data = locked;
        #[cfg(not(wicked))]
        let data = &mut **locked;

        domain.scope(|scope| {
            scope
                // error[E0277]: cannot be sent between threads safely
                .schedule(GFP_ATOMIC, move |_| assert!(size_of_val(data) > 0))
                .map_err(|error| error.error)
        })
    })
}
