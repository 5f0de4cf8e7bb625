// SPDX-License-Identifier: GPL-2.0

//! A waiter's filter that borrows from its frame must not be taken for one that borrows for longer:
//! the waker could keep what it sees.

use async_domain::{
    wait::{
        Fifo,
        Filter,
        Verdict,
        WaitQueue, //
    },
    WaitMode,
};
use kernel::prelude::*;

#[derive(Clone, Copy)]
struct Shows<'a>(&'a u32);

impl<'a> Filter for Shows<'a> {
    type Event = Option<&'a u32>;
    type Order = Fifo;

    fn judge(&self, seen: &mut Option<&'a u32>) -> Verdict<Fifo> {
        *seen = Some(self.0);
        Verdict::WAKE
    }
}

fn wait(queue: &WaitQueue<(), Shows<'static>>) -> Result {
    #[cfg(wicked)]
    let number = 5;
    #[cfg(wicked)]
    // error[E0597]: `number` does not live long enough
    let number = &number;
    #[cfg(not(wicked))]
    let number = &5;

    shorter(queue, number)
}

fn shorter<'a>(queue: &WaitQueue<(), Shows<'a>>, number: &'a u32) -> Result {
    queue.wait(WaitMode::KILLABLE, |_| Ok(Some(Shows(number))))
}

fn wake(queue: &WaitQueue<(), Shows<'static>>) -> Option<&'static u32> {
    let mut seen = None;

    queue.with(|locked| locked.wake(&mut seen));
    seen
}
