// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! The destructor of a closure that is cancelled, or of one that has run, drops the last owner of its domain; and a
//! task drops that of another one, in which it has just begun something.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("destructor_drops_domain");

fn attack() -> Result {
    let (dropped, ran) = (Count::new()?, Count::new()?);

    for _ in 0..50 {
        let domain = domain!("destructor");
        let (d, guard) = (domain.clone(), dropped.dropped());
        domain.schedule(GFP_KERNEL, move |_| {
            let _held = (&d, &guard);
        })?;
        domain.cancel_all();
        drop(domain);
    }
    check!(eventually(|| dropped.get() == 50));

    for _ in 0..50 {
        let (one, other) = (domain!("one"), domain!("other"));
        let (o, guard, r) = (other.clone(), dropped.dropped(), ran.clone());
        one.schedule(GFP_KERNEL, move |_| {
            let _ = o.schedule(GFP_KERNEL, move |_| r.add(1));
            drop(o);
            drop(guard);
        })?;
        drop((other, one));
    }
    check!(eventually(|| dropped.get() == 100));
    check_eq!(ran.get(), 50);
    Ok(())
}
