// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Leaks domains, idle and with tasks, and the handles, futures and errors of others. What was leaked goes on, and
//! so does all else.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::mem::{forget, ManuallyDrop};
use lib::*;

attack!("leak_domains");

fn attack() -> Result {
    let ran = Count::new()?;
    let domain = domain!("innocent");

    for _ in 0..20 {
        let leaked = ManuallyDrop::new(new_async_domain!("leaked", GFP_KERNEL)?);
        let (r, guard) = (ran.clone(), ran.dropped());
        leaked.schedule(GFP_KERNEL, move |_| {
            r.add(1);
            drop(guard);
        })?;
        forget(new_async_domain!("idle", GFP_KERNEL)?);

        let r = ran.clone();
        forget(domain.schedule_with_handle(GFP_KERNEL, move |_| r.dropped())?);
        forget(domain.synchronize_async(GFP_KERNEL, ..Cookie::now()));
    }
    let refused = KBox::new(new_async_domain!("closed", GFP_KERNEL)?, GFP_KERNEL)?;
    let refused = KBox::leak(refused);
    refused.close();
    forget(refused.schedule(GFP_KERNEL, |_| ()));

    domain.synchronize(..)?;
    async_domain::synchronize_all()?;
    check_eq!(ran.get(), 40);
    check_eq!(domain.stats().finished, 20);
    Ok(())
}
