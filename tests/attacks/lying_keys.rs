// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Keys whose equality changes its mind, and whose hash is no function of them. Wake-ups get lost, and others do not.

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

attack!("lying_keys");

static MOOD: Atomic<u64> = Atomic::new(0);

#[derive(Clone, Copy)]
struct Liar(u64);

impl PartialEq for Liar {
    fn eq(&self, other: &Self) -> bool {
        self.0 != other.0 + 1 && MOOD.fetch_add(1, Relaxed) % 3 == 0
    }
}

impl Eq for Liar {}

impl Hash for Liar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(MOOD.fetch_add(0x9e37_79b9, Relaxed));
        state.write(&[0; 1000]);
        let _ = state.finish();
    }
}

fn attack() -> Result {
    let tasks = domain!("tasks");
    let liars = Arc::new(new_wait_table!(4, GFP_KERNEL, "liars")?, GFP_KERNEL)?;
    let (ended, woken) = (Count::new()?, Count::new()?);

    for i in 0..16 {
        let (l, e, w) = (liars.clone(), ended.clone(), woken.clone());
        tasks.schedule(GFP_KERNEL, move |_| {
            for j in 0..4 {
                let key = Liar(i * 4 + j);
                let ret = if i % 2 == 0 {
                    l.wait_event(key, moment(), || false)
                } else {
                    l.wait_event_exclusive(key, moment(), || false)
                };
                e.add(1);
                w.add(ret.is_ok().into());
            }
        })?;
    }
    let mut granted = 0;
    while ended.get() < 64 {
        let one = liars.wake_up(Liar(0), || ());
        let all = liars.with(Liar(1), |bucket| {
            bucket.wake_up_nr(0);
            bucket.key();
            bucket.wake_up_nr(u64::MAX)
        });
        granted += one.shared + one.exclusive + all.shared + all.exclusive;
        pause(1);
    }
    tasks.synchronize(..)?;
    // Each was woken once for each grant, but for those of wake_up_nr(0).
    check!(woken.get() >= granted && woken.get() <= 64);
    check_eq!(liars.counts().wakeups, woken.get());
    Ok(())
}
