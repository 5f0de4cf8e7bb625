// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Time limits of nothing, of more than a timer takes, and of numbers that are negative in C.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::{
    new_completion_ring,
    new_event_counter,
    new_wait_table, //
};
use kernel::time::Jiffies;
use lib::*;

attack!("extreme_times");

const EXTREMES: [Jiffies; 6] = [
    Jiffies::MAX,
    Jiffies::MAX - 1,
    Jiffies::MAX / 2 + 2,
    Jiffies::MAX / 2 + 1,
    Jiffies::MAX / 2,
    u32::MAX as Jiffies,
];

fn attack() -> Result {
    let tasks = domain!("tasks");
    let counter = KBox::pin_init(new_event_counter!("times"), GFP_KERNEL)?;
    let ring = KBox::pin_init(new_completion_ring!(4, GFP_KERNEL, "times"), GFP_KERNEL)?;
    let table = new_wait_table!(1, GFP_KERNEL, "times")?;

    for base in [
        WaitMode::UNINTERRUPTIBLE,
        WaitMode::INTERRUPTIBLE,
        WaitMode::KILLABLE,
    ] {
        let never = base.timeout(0);
        check_eq!(never.time_limit(), Some(0));
        check_eq!(counter.wait_for(u64::MAX, never), Err(ETIMEDOUT));
        check_eq!(ring.wait(&mut [0u64], 1, never), Err(ETIMEDOUT));
        check_eq!(
            ring.wait_min(&mut [0u64], 1, Jiffies::MAX, never),
            Err(ETIMEDOUT)
        );
        check_eq!(table.wait_event(1u64, never, || false), Err(ETIMEDOUT));

        for limit in EXTREMES {
            let mode = base.timeout(limit);
            let next = counter.read() + 1;
            let mut event = [0];
            let (mut counted, mut taken, mut woken) = (Ok(()), Ok(0), Ok(()));
            tasks.scope(|scope| -> Result {
                let (c, t, w, e) = (&mut counted, &mut taken, &mut woken, &mut event);
                let (counter, ring, table) = (&counter, &ring, &table);
                scope.schedule(GFP_KERNEL, move |_| *c = counter.wait_for(next, mode))?;
                scope.schedule(GFP_KERNEL, move |_| *t = ring.wait_min(e, 1, limit, mode))?;
                scope.schedule(GFP_KERNEL, move |_| {
                    *w = table.wait_event(limit as u64, mode, || false)
                })?;
                pause(5);
                counter.advance(1);
                ring.post(next)?;
                check!(eventually(|| table.wake_up(limit as u64, || ()).shared == 1));
                Ok(())
            })?;
            check_eq!((counted, taken, woken), (Ok(()), Ok(1), Ok(())));
            check_eq!(event[0], next);
            tasks.synchronize_with(mode, ..)?;
        }
    }
    Ok(())
}
