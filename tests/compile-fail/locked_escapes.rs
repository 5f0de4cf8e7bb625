// SPDX-License-Identifier: GPL-2.0

//! The data of a queue is out of reach when the lock has been given back.

use async_domain::wait::{
    Filter,
    WaitQueue, //
};

fn count<F: Filter + 'static>(queue: &WaitQueue<u64, F>) -> u64 {
    #[cfg(wicked)]
    // error: lifetime may not live long enough
    let count = **queue.with(|locked| locked);
    #[cfg(not(wicked))]
    let count = queue.with(|locked| **locked);

    count
}
