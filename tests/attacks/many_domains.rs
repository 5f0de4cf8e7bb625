// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Thousands of domains at a time, each with a task that waits for one of the next domain: more than there is of
//! anything that they have a share in.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("many_domains");

const DOMAINS: usize = 3000;

fn attack() -> Result {
    let (ran, gate) = (Count::new()?, Gate::new()?);
    let mut domains = KVVec::with_capacity(DOMAINS, GFP_KERNEL)?;
    let mut tokens = KVVec::with_capacity(DOMAINS, GFP_KERNEL)?;

    for _ in 0..DOMAINS {
        domains.push(domain!("one_of_many"), GFP_KERNEL)?;
    }
    // The tasks of the first ones sleep, and those of the others find no worker that is free.
    for domain in domains.iter().take(64) {
        let g = gate.clone();
        domain.schedule(GFP_KERNEL, move |_| g.wait())?;
    }
    for (i, domain) in domains.iter().enumerate() {
        let r = ran.clone();
        tokens.push(domain.begin(GFP_KERNEL)?, GFP_KERNEL)?;
        if i % 2 == 0 {
            domain.schedule(GFP_KERNEL, move |_| r.add(1))?;
        } else {
            domain.schedule_ordered(GFP_KERNEL, |_| (), move |(), _| r.add(1))?;
        }
    }
    check!(eventually(|| ran.get() >= DOMAINS as u64 / 2));
    // Their order is none of the others' business.
    while let Some(token) = tokens.pop() {
        token.finish();
    }
    gate.open();
    async_domain::synchronize_all()?;
    check_eq!(ran.get(), DOMAINS as u64);
    Ok(())
}
