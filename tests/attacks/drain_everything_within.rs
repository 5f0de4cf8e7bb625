// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Tasks, futures, retire parts and scopes drain all domains there are, and the one that they are in.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::synchronize_all;
use kernel::time::Delta;
use lib::*;

attack!("drain_everything_within");

fn attack() -> Result {
    let domain = domain!("within");
    let apart = domain!("apart" exclusive);
    let refused = Count::new()?;

    let r = refused.clone();
    let d = domain.clone();
    domain.schedule(GFP_KERNEL, move |_| {
        r.add((synchronize_all() == Err(EDEADLK)).into());
        r.add((d.synchronize_with(moment(), ..) == Err(EDEADLK)).into());
        r.add((d.synchronize_result() == Err(EDEADLK)).into());
        // With no time to wait, too.
        let now = WaitMode::KILLABLE.timeout(Delta::ZERO);
        r.add((d.synchronize_with(now, ..Cookie::now()) == Err(EDEADLK)).into());
    })?;
    domain.synchronize(..)?;
    check_eq!(refused.get(), 4);

    let r = refused.clone();
    domain.spawn(GFP_KERNEL, async move {
        r.add((synchronize_all() == Err(EDEADLK)).into())
    })?;
    let r = refused.clone();
    domain.schedule_ordered(
        GFP_KERNEL,
        |_| synchronize_all(),
        move |first, _| {
            r.add((first == Err(EDEADLK)).into());
            r.add((synchronize_all() == Err(EDEADLK)).into());
        },
    )?;
    domain.synchronize(..)?;
    check_eq!(refused.get(), 7);

    // Exclusive ones are none of its business.
    let r = refused.clone();
    apart.schedule(GFP_KERNEL, move |_| r.add(synchronize_all().is_ok().into()))?;
    apart.synchronize(..)?;
    check_eq!(refused.get(), 8);
    Ok(())
}
