// SPDX-License-Identifier: GPL-2.0

//! What a macro is given is not expanded where `unsafe` would allow it anything.

use async_domain::{
    impl_has_task,
    new_wait_queue,
    wait::{
        Fifo,
        Filter,
        Verdict,
        WaitQueue, //
    },
    TaskHeader, //
};
use kernel::prelude::*;

/// # Safety
///
/// There is nothing that makes it safe.
#[cfg(wicked)]
const unsafe fn number() -> usize {
    1
}

#[cfg(not(wicked))]
const fn number() -> usize {
    1
}

struct Request<const N: usize> {
    task: TaskHeader<Self>,
}

impl_has_task! {
    // error[E0133]: call to unsafe function `number` is unsafe
    impl HasTask<Self> for Request<{ number() }> { self.task }
}

#[derive(Clone, Copy)]
struct Anything;

impl Filter for Anything {
    type Event = ();
    type Order = Fifo;

    fn judge(&self, _event: &mut ()) -> Verdict<Fifo> {
        Verdict::WAKE
    }
}

fn queue() -> impl PinInit<WaitQueue<usize, Anything>> {
    // error[E0133]: call to unsafe function `number` is unsafe
    new_wait_queue!(number(), "queue")
}
