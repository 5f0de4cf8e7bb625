// SPDX-License-Identifier: GPL-2.0

//! There is no way to the data of a queue but under the lock.

use async_domain::wait::{
    Filter,
    WaitQueue, //
};

fn count<F: Filter>(queue: &WaitQueue<u64, F>) -> u64 {
    #[cfg(wicked)]
    // error[E0616]: field `lock` of struct `WaitQueue` is private
    let count = *queue.lock.data.get();
    #[cfg(not(wicked))]
    let count = queue.with(|locked| **locked);

    count
}
