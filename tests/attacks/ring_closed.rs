// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! A completion ring is closed as many post and wait: no event is lost, or given to two.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::new_completion_ring;
use lib::*;

attack!("ring_closed");

fn attack() -> Result {
    let tasks = domain!("tasks");

    for round in 0..30 {
        let ring = KBox::pin_init(new_completion_ring!(8, GFP_KERNEL, "closed"), GFP_KERNEL)?;
        let (posted, taken, odd) = (Atomic::new(0), Atomic::new(0), Atomic::new(0u64));

        tasks.scope(|scope| -> Result {
            for i in 0..4u64 {
                let (ring, posted, taken, odd) = (&ring, &posted, &taken, &odd);
                scope.schedule(GFP_KERNEL, move |_| {
                    for n in 1.. {
                        match ring.post_all(&[n, n]) {
                            Ok(_) => posted.add(2 * n, Relaxed),
                            Err(e) if e == ESHUTDOWN => break,
                            Err(e) if e == ENOBUFS => pause(1),
                            Err(_) => odd.add(1, Relaxed),
                        }
                    }
                })?;
                scope.schedule(GFP_KERNEL, move |_| {
                    let mut events = [0; 8];
                    loop {
                        let min = 1 + i as usize * 2;
                        match ring.wait(&mut events, min, patience()) {
                            Ok(nr) => taken.add(events[..nr].iter().sum::<u64>(), Relaxed),
                            Err(e) if e == ESHUTDOWN => break,
                            Err(_) => odd.add(1, Relaxed),
                        }
                    }
                })?;
            }
            pause(round % 4);
            ring.close();
            Ok(())
        })?;
        check_eq!(posted.load(Relaxed), taken.load(Relaxed));
        check_eq!((odd.load(Relaxed), ring.available()), (0, 0));
        check_eq!(ring.post(1), Err(ESHUTDOWN));
    }
    Ok(())
}
