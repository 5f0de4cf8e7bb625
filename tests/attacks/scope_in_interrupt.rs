// SPDX-License-Identifier: GPL-2.0
// Expect: panic "an interrupt waits, and cannot"
// Kernels: debug stock

//! A scope with a task that is not done ends in a hard interrupt.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("scope_in_interrupt");

fn attack() -> Result {
    let domain = domain!("interrupted");
    let gate = Gate::new()?;

    in_interrupt(move || {
        domain.scope(|scope| {
            let _ = scope.schedule(GFP_ATOMIC, |_| gate.wait());
        });
    })
}
