// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Time limits of nothing and less, and of more than a timer takes; with every kind of timer.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::{
    new_completion_ring,
    new_event_counter,
    new_wait_table, //
};
use kernel::time::{
    Delta,
    Instant, //
};
use lib::*;

attack!("extreme_times");

const LONG: [i64; 5] = [
    i64::MAX,
    i64::MAX - 1,
    i64::MAX / 2 + 1,
    u32::MAX as i64 * 4_000_000,
    u32::MAX as i64 * 1000,
];
const OVER: [i64; 3] = [0, -1, i64::MIN];

fn attack() -> Result {
    let tasks = domain!("tasks");
    let counter = KBox::pin_init(new_event_counter!("times"), GFP_KERNEL)?;
    let ring = KBox::pin_init(new_completion_ring!(4, GFP_KERNEL, "times"), GFP_KERNEL)?;
    let table = new_wait_table!(1, GFP_KERNEL, "times")?;

    for base in [
        WaitMode::UNINTERRUPTIBLE.fallible(),
        WaitMode::UNINTERRUPTIBLE.io().hrtimer(Delta::ZERO).into(),
        WaitMode::INTERRUPTIBLE.freezable(),
        WaitMode::KILLABLE.hrtimer(Delta::from_nanos(i64::MAX)),
        WaitMode::KILLABLE
            .hrtimer(Delta::from_nanos(i64::MIN))
            .idle(),
    ] {
        let past = base.deadline(Instant::now());
        let short = OVER.map(|nanos| base.timeout(Delta::from_nanos(nanos)));
        for over in Iterator::chain(short.into_iter(), [past]) {
            check!(over.time_left() <= Some(Delta::ZERO));
            check_eq!(counter.wait_for(u64::MAX, over), Err(ETIMEDOUT));
            check_eq!(ring.wait(&mut [0u64], 1, over), Err(ETIMEDOUT));
            check_eq!(
                ring.wait_min(&mut [0u64], 1, Delta::from_nanos(i64::MAX), over),
                Err(ETIMEDOUT)
            );
            check_eq!(table.wait_event(1u64, over, || false), Err(ETIMEDOUT));
        }

        for nanos in LONG {
            let limit = Delta::from_nanos(nanos);
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
                    *w = table.wait_event(nanos as u64, mode, || false)
                })?;
                pause(5);
                counter.advance(1);
                ring.post(next)?;
                check!(eventually(|| table.wake_up(nanos as u64, || ()).shared == 1));
                Ok(())
            })?;
            check_eq!((counted, taken, woken), (Ok(()), Ok(1), Ok(())));
            check_eq!(event[0], next);
            tasks.synchronize_with(mode, ..)?;
        }
    }
    Ok(())
}
