// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Filters that grant what there is not: they wake for nothing, overwrite the event and the queue's data, and give
//! each waiter something of its own.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::{
    new_wait_queue,
    wait::{
        Fifo,
        Filter,
        Verdict,
        WaitQueue, //
    }, //
};
use lib::*;

attack!("nonsense_grants");

#[derive(Clone, Copy)]
struct Greedy {
    id: u64,
    got: [u64; 8],
}

impl Filter for Greedy {
    type Event = [u64; 8];
    type Order = Fifo;

    fn judge(&self, event: &mut [u64; 8]) -> Verdict<Fifo> {
        event.fill(self.id);
        if self.id % 3 == 0 {
            Verdict::WAKE_EXCLUSIVE
        } else {
            Verdict::WAKE
        }
    }

    fn grant(&mut self, event: &mut [u64; 8]) {
        self.got = *event;
        event.fill(u64::MAX);
    }
}

#[pin_data]
struct Shared {
    #[pin]
    queue: WaitQueue<[u64; 8], Greedy>,
}

fn attack() -> Result {
    let tasks = domain!("tasks");
    let shared = Arc::pin_init(
        pin_init!(Shared { queue <- new_wait_queue!([0; 8]) }),
        GFP_KERNEL,
    )?;
    let (ended, own) = (Count::new()?, Count::new()?);

    for id in 1..=30 {
        let (s, e, o) = (shared.clone(), ended.clone(), own.clone());
        tasks.schedule(GFP_KERNEL, move |_| {
            let waiter = Greedy { id, got: [0; 8] };
            if let Ok(Some(waiter)) = s.queue.wait_granted(patience(), |_| Ok(Some(waiter))) {
                o.add((waiter.got == [id; 8]).into());
            }
            e.add(1);
        })?;
    }
    let mut granted = 0;
    while ended.get() < 30 {
        granted += shared.queue.with(|data| data.wake_by_data());
        pause(1);
    }
    tasks.synchronize(..)?;
    check_eq!((granted, own.get()), (30, 30));
    Ok(())
}
