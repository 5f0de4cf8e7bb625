// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Errors are reported by many tasks at once, by cancelled ones never, and taken in between: the one of the lowest
//! cookie is kept.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("errors_everywhere");

fn attack() -> Result {
    let domain = domain!("errors");

    for round in 0..15 {
        let gate = Gate::new()?;
        let mut first = None;
        for i in 0..20 {
            let g = gate.clone();
            let cookie = domain.schedule(GFP_KERNEL, move |context| {
                g.wait();
                context.report(EINVAL);
                context.report(ENOMEM);
                if i % 2 == 0 {
                    Ok(())
                } else {
                    Err(EIO)
                }
            })?;
            first = first.or(Some(cookie));
        }
        gate.open();
        if round % 2 == 0 {
            check_eq!(domain.synchronize_result(), Err(EINVAL));
        } else {
            domain.synchronize(..)?;
            check_eq!(domain.take_error(), first.map(|first| (first, EINVAL)));
        }
        check_eq!(
            (domain.synchronize_result(), domain.take_error()),
            (Ok(()), None)
        );
    }

    // Not by what has not run.
    let token = domain.begin(GFP_KERNEL)?;
    let cookie = domain.schedule_ordered(GFP_KERNEL, |_| (), |(), context| context.report(EIO))?;
    domain.cancel(cookie);
    token.finish();
    domain.synchronize(..)?;
    let seen = domain.take_error();
    check!(seen.is_none() || seen == Some((cookie, EIO)));
    Ok(())
}
