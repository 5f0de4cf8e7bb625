// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Tasks that submit themselves twice, without end, until the domain refuses; then it is closed under them.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("endless_submission");

fn multiply(domain: &Arc<OwnedDomain>, ran: &Count, refused: &Count) {
    for _ in 0..2 {
        let (d, r, e) = (domain.clone(), ran.clone(), refused.clone());
        let task = move |_: &TaskContext<'_>| {
            r.add(1);
            multiply(&d, &r, &e);
        };
        match domain.schedule(GFP_KERNEL, task) {
            Ok(_) => (),
            Err(refusal) if refusal.error == EAGAIN || refusal.error == ESHUTDOWN => refused.add(1),
            Err(_) => refused.add(1 << 32),
        }
    }
}

fn attack() -> Result {
    let domain = domain!("endless");
    let (ran, refused) = (Count::new()?, Count::new()?);

    domain.set_limit(100);
    multiply(&domain, &ran, &refused);
    check!(eventually(|| refused.get() > 300 && ran.get() > 600));
    domain.close();
    domain.synchronize(..)?;

    let stats = domain.stats();
    check_eq!((stats.submitted, stats.finished), (ran.get(), ran.get()));
    check_eq!(refused.get() >> 32, 0);
    // Each that ran, and this thread, tried twice.
    check_eq!(ran.get() + refused.get(), 2 * ran.get() + 2);
    check_eq!(domain.lowest_in_progress(), None);
    Ok(())
}
