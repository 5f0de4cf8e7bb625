// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Domains are made, used and dropped, leaked and closed as others wait for all domains.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::synchronize_all;
use lib::*;

attack!("pinned_domains");

fn attack() -> Result {
    let waiters = domain!("waiters" exclusive);
    let (ran, failed, over) = (Count::new()?, Count::new()?, Count::new()?);

    for _ in 0..3 {
        let (f, o) = (failed.clone(), over.clone());
        waiters.schedule(GFP_KERNEL, move |_| {
            while o.get() == 0 {
                f.add(synchronize_all().is_err().into());
            }
        })?;
    }
    for round in 0..300 {
        let domain = new_async_domain!("pinned", GFP_KERNEL)?;
        let r = ran.clone();
        domain.schedule(GFP_KERNEL, move |_| r.add(1))?;
        match round % 3 {
            0 => domain.synchronize(..)?,
            1 => domain.close(),
            _ => (),
        }
        if round % 50 == 49 {
            core::mem::forget(domain);
        }
    }
    over.add(1);
    waiters.synchronize_with(patience(), ..)?;
    check!(eventually(|| ran.get() == 300));
    check_eq!(failed.get(), 0);
    Ok(())
}
