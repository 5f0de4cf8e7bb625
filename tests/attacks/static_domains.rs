// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Static domains: first used by all at once and in an interrupt, from within, closed, and left behind.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::static_domain;
use lib::*;

attack!("static_domains");

static_domain!(static FIRST);
static_domain!(static SECOND, exclusive);
static_domain!(static UNUSED);

fn attack() -> Result {
    let tasks = domain!("tasks");
    let ran = Count::new()?;

    let r = ran.clone();
    in_interrupt(move || drop(SECOND.schedule(GFP_ATOMIC, move |_| r.add(1))))?;
    for _ in 0..16 {
        let r = ran.clone();
        tasks.schedule(GFP_KERNEL, move |_| {
            let inner = r.clone();
            let _ = FIRST.schedule(GFP_KERNEL, move |context| {
                let own = FIRST.synchronize(..) == Err(EDEADLK);
                inner.add((own && context.synchronize().is_ok()).into());
            });
        })?;
    }
    tasks.synchronize(..)?;
    FIRST.synchronize(..)?;
    SECOND.synchronize(..)?;
    check_eq!(ran.get(), 17);
    FIRST.close();
    check!(matches!(FIRST.schedule(GFP_KERNEL, |_| ()), Err(e) if e.error == ESHUTDOWN));
    check_eq!(UNUSED.lowest_in_progress(), None);
    // Left to the unloading of this module.
    SECOND.schedule(GFP_KERNEL, |_| pause(20))?;
    Ok(())
}
