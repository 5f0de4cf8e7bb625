// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! A sorted queue whose filters do not know in which order they stand, and stop walks at random. What is left is woken
//! by time.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::{
    new_wait_queue,
    wait::{
        Filter,
        Sorted,
        Verdict,
        WaitQueue, //
    }, //
};
use core::cmp::Ordering;
use lib::*;

attack!("lying_order");

static MOOD: Atomic<u64> = Atomic::new(0);

fn mood() -> u64 {
    MOOD.fetch_add(7, Relaxed) % 5
}

#[derive(Clone, Copy)]
struct Liar(u64);

impl PartialEq for Liar {
    fn eq(&self, _other: &Self) -> bool {
        mood() == 0
    }
}

impl Eq for Liar {}

impl PartialOrd for Liar {
    fn partial_cmp(&self, _other: &Self) -> Option<Ordering> {
        (mood() > 0).then_some(Ordering::Less)
    }
}

impl Ord for Liar {
    fn cmp(&self, _other: &Self) -> Ordering {
        match mood() {
            0 | 1 => Ordering::Less,
            2 => Ordering::Equal,
            _ => Ordering::Greater,
        }
    }
}

impl Filter for Liar {
    type Event = u64;
    type Order = Sorted;

    fn judge(&self, event: &mut u64) -> Verdict<Sorted> {
        *event ^= u64::MAX;
        match mood() {
            0 => Verdict::WAKE,
            1 => Verdict::WAKE_EXCLUSIVE,
            2 => Verdict::SKIP,
            3 => Verdict::STOP,
            _ => Verdict::wake_or_stop(self.0 % 2 == 0),
        }
    }

    fn grant(&mut self, event: &mut u64) {
        self.0 = *event;
    }

    fn traced(&self) -> u64 {
        mood()
    }
}

#[pin_data]
struct Shared {
    #[pin]
    queue: WaitQueue<u64, Liar>,
}

fn attack() -> Result {
    let tasks = domain!("tasks");
    let shared = Arc::pin_init(
        pin_init!(Shared { queue <- new_wait_queue!(0) }),
        GFP_KERNEL,
    )?;
    let (ended, woken) = (Count::new()?, Count::new()?);

    for i in 0..16 {
        let (s, e, w) = (shared.clone(), ended.clone(), woken.clone());
        tasks.schedule(GFP_KERNEL, move |_| {
            for _ in 0..4 {
                match s.queue.wait_granted(moment(), |_| Ok(Some(Liar(i)))) {
                    Ok(Some(_)) => w.add(1),
                    Err(e) if e == ETIMEDOUT => (),
                    _ => w.add(1 << 32),
                }
                e.add(1);
            }
        })?;
    }
    let mut granted = 0;
    while ended.get() < 64 {
        granted += shared.queue.with(|data| {
            **data = data.wrapping_add(1);
            data.wake(&mut 17) + data.wake_by_data()
        });
        pause(1);
    }
    tasks.synchronize(..)?;
    check_eq!(woken.get(), granted);
    check!(!shared.queue.with(|data| data.has_waiters()));
    Ok(())
}
