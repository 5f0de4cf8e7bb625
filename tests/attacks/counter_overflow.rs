// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! An event counter beyond the end of its numbers, with waiters for the last ones.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::new_event_counter;
use lib::*;

attack!("counter_overflow");

fn attack() -> Result {
    let tasks = domain!("tasks");
    let counter = KBox::pin_init(new_event_counter!("overflow"), GFP_KERNEL)?;
    let reached = Atomic::new(0u64);

    tasks.scope(|scope| -> Result {
        for back in 0..8 {
            let (counter, reached) = (&counter, &reached);
            scope.schedule(GFP_KERNEL, move |_| {
                if counter.wait_for(u64::MAX - back, patience()).is_ok() {
                    reached.add(1, Relaxed);
                }
            })?;
        }
        check!(eventually(|| counter.counts().waits == 8));
        check_eq!(counter.advance(0), 0);
        check_eq!(counter.advance(u64::MAX - 8), u64::MAX - 8);
        check_eq!(reached.load(Relaxed), 0);
        check_eq!(counter.advance(1), u64::MAX - 7);
        check!(eventually(|| reached.load(Relaxed) == 1));
        check_eq!(counter.advance(u64::MAX), u64::MAX);
        check_eq!(counter.advance(u64::MAX), u64::MAX);
        Ok(())
    })?;
    check_eq!((reached.load(Relaxed), counter.read()), (8, u64::MAX));
    check_eq!(counter.counts().spurious, 0);
    counter.wait_for(0, WaitMode::KILLABLE)?;
    counter.wait_for(u64::MAX, WaitMode::KILLABLE)?;
    Ok(())
}
