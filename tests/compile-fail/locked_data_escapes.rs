// SPDX-License-Identifier: GPL-2.0

//! Nor does a reference to the data of a queue outlive the lock.

use async_domain::wait::{
    Filter,
    WaitQueue, //
};

fn count<F: Filter>(queue: &WaitQueue<u64, F>) -> u64 {
    #[cfg(wicked)]
    // error: lifetime may not live long enough
    let count = *queue.with(|locked| &mut **locked);
    #[cfg(not(wicked))]
    let count = queue.with(|locked| *&mut **locked);

    count
}
