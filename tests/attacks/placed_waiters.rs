// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: stock

//! Placed tasks, more than may run at a time, wait for earlier ones of their domain, which come to their turn when
//! strangers let go of the places that they hold.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("placed_waiters");

/// As many as run at a time.
const PLACES: u64 = 2048;

fn attack() -> Result {
    let strangers = domain!("strangers" exclusive);
    let (running, waited, gate) = (Count::new()?, Count::new()?, Gate::new()?);

    for _ in 0..PLACES {
        let (r, g) = (running.clone(), gate.clone());
        strangers.schedule(GFP_KERNEL, move |_| {
            r.add(1);
            g.wait();
        })?;
    }
    check!(eventually(|| running.get() == PLACES));

    let domain = domain!("waiters");
    domain.schedule(GFP_KERNEL, |_| ())?;
    domain.schedule(GFP_KERNEL, |_| ())?;
    for i in 0..2 * PLACES {
        let w = waited.clone();
        let wait = move |context: &TaskContext<'_>| w.add(context.synchronize().is_ok().into());
        if i % 3 == 0 {
            domain.schedule(GFP_KERNEL, wait)?;
        } else {
            domain.on_node(0)?.schedule(GFP_KERNEL, wait)?;
        }
    }
    gate.open();
    domain.synchronize_with(patience(), ..)?;
    check_eq!(waited.get(), 2 * PLACES);
    Ok(())
}
