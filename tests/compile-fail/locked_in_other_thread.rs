// SPDX-License-Identifier: GPL-2.0

//! A lock is held by a thread, and not lent to another one.

use async_domain::{
    wait::{
        Filter,
        WaitQueue, //
    },
    AsyncDomain,
};
use kernel::prelude::*;

fn lend<F: Filter>(domain: &AsyncDomain, queue: &WaitQueue<u64, F>) -> Result {
    queue.with(|locked| {
        #[cfg(not(wicked))]
        let locked = &mut **locked;

        domain.scope(|scope| {
            scope
                // error[E0277]: cannot be sent between threads safely
                .schedule(move |_| **locked += 1, GFP_ATOMIC)
                .map(|_| ())
        })
    })?;
    Ok(())
}
