// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Scopes in tasks of scopes of the same domain, fifty deep, each of which borrows from the frame above.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("nested_scopes");

fn nest(domain: &AsyncDomain, depth: u64, sum: &mut u64) -> Result {
    if depth == 0 {
        return Ok(());
    }
    let (mut below, mut result) = (0, Ok(()));
    let begun = Gate::new()?;
    domain.scope(|scope| -> Result {
        let (b, r, g) = (&mut below, &mut result, begun.clone());
        scope.schedule(GFP_KERNEL, move |_| {
            g.open();
            *r = nest(domain, depth - 1, b);
        })?;
        // On a stack of its own.
        begun.wait();
        Ok(())
    })?;
    *sum = below + depth;
    result
}

fn attack() -> Result {
    let domain = domain!("nested");
    let mut sum = 0;

    nest(&domain, 50, &mut sum)?;
    check_eq!(sum, 50 * 51 / 2);
    check_eq!(domain.stats().finished, 50);
    Ok(())
}
