// SPDX-License-Identifier: GPL-2.0

//! Filters must not be shown the data of a queue while somebody else changes it.

use async_domain::wait::{
    Filter,
    WaitQueue, //
};

fn wake<F: Filter<Event = u64>>(queue: &WaitQueue<u64, F>) -> u64 {
    queue.with(|locked| {
        let event = &mut **locked;
        #[cfg(not(wicked))]
        let event = &mut event.clone();

        // error[E0499]: cannot borrow `*locked` as mutable more than once at a time
        locked.wake(event)
    })
}
