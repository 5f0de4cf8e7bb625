// SPDX-License-Identifier: GPL-2.0

//! The data of a queue is used by all threads that use the queue, although one at a time.

use async_domain::wait::{
    Filter,
    WaitQueue, //
};

#[cfg(wicked)]
type Data = *mut u8;
#[cfg(not(wicked))]
type Data = usize;

fn share(_: &(impl Sync + ?Sized)) {}

fn take<F: Filter>(queue: &WaitQueue<Data, F>) {
    // error[E0277]: `*mut u8` cannot be sent between threads safely
    share(queue);
}
