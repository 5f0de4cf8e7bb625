// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! `schedule_or_run()` in what `schedule_or_run()` runs in its caller's context, and waits for what is around.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("recursive_run");

fn recurse(domain: &Arc<OwnedDomain>, depth: u64, above: Cookie, ran: &Count) -> Result {
    let (d, r) = (domain.clone(), ran.clone());
    domain.schedule_or_run(GFP_KERNEL, move |context| {
        // It waits neither for itself nor for what is around it.
        let itself = d.synchronize(..=context.cookie());
        let all = d.synchronize(..);
        let around = context.synchronize();
        if itself == Err(EDEADLK)
            && all == Err(EDEADLK)
            && around == Err(EDEADLK)
            && above < context.cookie()
            && (depth == 0 || recurse(&d, depth - 1, context.cookie(), &r).is_ok())
        {
            r.add(1);
        }
    })?;
    Ok(())
}

fn attack() -> Result {
    let domain = domain!("recursive");
    let ran = Count::new()?;

    domain.set_limit(0);
    for round in 1..=20 {
        let d = domain.clone();
        let r = ran.clone();
        // A task around all, so that each has something to wait for.
        domain.schedule_or_run(GFP_KERNEL, move |context| {
            _ = recurse(&d, 7, context.cookie(), &r)
        })?;
        check_eq!(ran.get(), 8 * round);
    }
    check_eq!(domain.stats().finished, 9 * 20);
    Ok(())
}
