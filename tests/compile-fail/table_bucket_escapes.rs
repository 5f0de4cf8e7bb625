// SPDX-License-Identifier: GPL-2.0

//! The bucket of a key is out of reach when its lock has been given back.

use async_domain::keyed::WaitTable;

fn wake(table: &WaitTable<u64>) -> u64 {
    #[cfg(wicked)]
    // error: lifetime may not live long enough
    let woken = table.with(17, |bucket| bucket).wake_up();
    #[cfg(not(wicked))]
    let woken = table.with(17, |bucket| bucket.wake_up());

    woken.shared
}
