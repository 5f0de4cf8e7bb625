// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Tokens are finished in hard interrupts, by tasks, after the domain was closed, and in the reverse order.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("tokens_anywhere");

fn attack() -> Result {
    let (domain, helpers) = (domain!("tokens"), domain!("helpers"));
    let mut tokens = KVec::new();

    for _ in 0..60 {
        tokens.push(domain.begin(GFP_KERNEL)?, GFP_KERNEL)?;
    }
    let first = tokens[0].cookie();
    domain.close();
    check_eq!(domain.begin(GFP_KERNEL).err(), Some(ESHUTDOWN));
    while let Some(token) = tokens.pop() {
        check_eq!(domain.lowest_in_progress(), Some(first));
        match tokens.len() % 3 {
            0 => in_interrupt(move || token.finish())?,
            1 => drop(token),
            _ => {
                helpers.schedule(GFP_KERNEL, move |_| drop(token))?;
            }
        }
    }
    domain.synchronize_with(patience(), ..)?;
    helpers.synchronize(..)?;
    check_eq!(domain.stats().finished, 60);
    Ok(())
}
