// SPDX-License-Identifier: GPL-2.0

//! Only a queue that is sorted knows that nobody behind a waiter is satisfied.

use async_domain::wait::{
    Fifo,
    Filter,
    Verdict, //
};

#[derive(Clone, Copy)]
struct AtLeast(u64);

impl Filter for AtLeast {
    type Event = u64;
    type Order = Fifo;

    fn judge(&self, count: &mut u64) -> Verdict<Fifo> {
        if *count >= self.0 {
            return Verdict::WAKE;
        }
        #[cfg(wicked)]
        // error[E0308]: expected `Verdict<Fifo>`, found `Verdict<Sorted>`
        return Verdict::STOP;
        #[cfg(not(wicked))]
        return Verdict::SKIP;
    }
}
