// SPDX-License-Identifier: GPL-2.0
// Expect: panic "async_domain: a thread died in a scope"
// Kernels: debug stock
// Append: sysctl.kernel.panic_on_oops=0

//! A thread panics in a scope, whose task goes on to write to its stack.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::hint::black_box;
use lib::*;

attack!("dies_in_scope");

fn attack() -> Result {
    let domain = domain!("scoped");
    let mut borrowed = [0u64; 64];

    domain.scope(|scope| -> Result {
        let borrowed = &mut borrowed;
        scope.schedule(GFP_KERNEL, move |_| {
            for i in 0..100 {
                pause(10);
                borrowed.fill(i);
            }
        })?;
        // Beyond its end.
        pr_info!("{}\n", [1, 2, 3][black_box(7)]);
        Ok(())
    })
}
