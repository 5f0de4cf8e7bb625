// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! A table with one queue, and keys that all collide: a lock for each key is handed over by all to all, and none is held
//! by two.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::new_wait_table;
use core::hash::{
    Hash,
    Hasher, //
};
use lib::*;

attack!("one_bucket");

#[derive(Clone, Copy, PartialEq, Eq)]
struct Colliding(usize);

impl Hash for Colliding {
    fn hash<H: Hasher>(&self, _state: &mut H) {}
}

const LOCKS: usize = 3;

fn attack() -> Result {
    let tasks = domain!("tasks");
    let table = new_wait_table!(1, GFP_KERNEL, "one_bucket")?;
    let locks = [const { (Atomic::<bool>::new(false), Atomic::<i32>::new(0)) }; LOCKS];
    let (changes, torn) = (Atomic::new(0u64), Atomic::new(0u64));

    tasks.scope(|scope| -> Result {
        for task in 0..6 {
            let (table, locks, changes, torn) = (&table, &locks, &changes, &torn);
            scope.schedule(GFP_KERNEL, move |_| {
                for i in 0..100 {
                    let which = (i * 7 + task) % LOCKS;
                    let (taken, inside) = &locks[which];
                    let key = Colliding(which);
                    let got =
                        table.wait_event_exclusive(key, patience(), || !taken.xchg(true, Relaxed));
                    let others = inside.fetch_add(1, Relaxed);
                    torn.add((got.is_err() || others != 0).into(), Relaxed);
                    if i % 16 == 0 {
                        pause(1);
                    }
                    changes.add(1, Relaxed);
                    inside.fetch_add(-1, Relaxed);
                    table.with(key, |bucket| {
                        if bucket.wake_up().exclusive == 0 {
                            taken.store(false, Relaxed);
                        }
                    });
                }
            })?;
        }
        Ok(())
    })?;
    check_eq!((changes.load(Relaxed), torn.load(Relaxed)), (600, 0));
    check!(locks.iter().all(|(taken, _)| !taken.load(Relaxed)));
    check_eq!(table.counts().spurious, 0);
    Ok(())
}
