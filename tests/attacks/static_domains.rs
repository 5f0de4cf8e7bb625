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
    in_interrupt(move || drop(SECOND.schedule(move |_| r.add(1), GFP_ATOMIC)))?;
    for _ in 0..16 {
        let r = ran.clone();
        tasks.schedule(
            move |_| {
                let inner = r.clone();
                let _ = FIRST.schedule(
                    move |context| {
                        let own = FIRST.synchronize_full() == Err(EDEADLK);
                        inner.add((own && context.synchronize().is_ok()).into());
                    },
                    GFP_KERNEL,
                );
            },
            GFP_KERNEL,
        )?;
    }
    tasks.synchronize_full()?;
    FIRST.synchronize_full()?;
    SECOND.synchronize_full()?;
    check_eq!(ran.get(), 17);
    FIRST.close();
    check!(matches!(FIRST.schedule(|_| (), GFP_KERNEL), Err(e) if e.error == ESHUTDOWN));
    check_eq!(UNUSED.lowest_in_progress(), None);
    // Left to the unloading of this module.
    SECOND.schedule(|_| pause(20), GFP_KERNEL)?;
    Ok(())
}
