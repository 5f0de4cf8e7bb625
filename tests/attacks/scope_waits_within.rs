// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! A task of a scope, which is itself in a task of the domain, waits for the earlier tasks: the same answer, whichever
//! thread runs it.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("scope_waits_within");

fn attack() -> Result {
    let domain = domain!("scoped");

    for round in 0..20 {
        let d = domain.clone();
        let mut handle = domain.schedule_with_handle(GFP_KERNEL, move |_| {
            let (mut below, mut all) = (Ok(()), Ok(()));
            d.scope(|scope| {
                let (b, a, d) = (&mut below, &mut all, &d);
                let _ = scope.schedule(GFP_KERNEL, move |context| {
                    *b = context.synchronize();
                    *a = d.synchronize(..);
                });
                if round % 2 == 0 {
                    pause(10);
                }
            });
            (below, all)
        })?;
        check_eq!(handle.join_with(patience())?, (Err(EDEADLK), Err(EDEADLK)));
    }
    Ok(())
}
