// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! The last owner of a domain is dropped by one of its tasks, while others are queued, running and cancelled.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("drop_in_task");

fn attack() -> Result {
    for _ in 0..50 {
        let domain = domain!("dropped");
        let (ran, shut, dropped) = (Count::new()?, Count::new()?, Count::new()?);
        let gate = Gate::new()?;

        let (d, g, r, s) = (domain.clone(), gate.clone(), ran.clone(), shut.clone());
        let guard = dropped.dropped();
        domain.schedule(GFP_KERNEL, move |context| {
            g.wait();
            drop(d);
            if context.synchronize() == Err(ESHUTDOWN) {
                s.add(1);
            }
            drop(guard);
            r.add(1);
        })?;
        drop(domain);
        gate.open();
        check!(eventually(|| ran.get() == 1));
        check_eq!((shut.get(), dropped.get()), (1, 1));
    }
    Ok(())
}
