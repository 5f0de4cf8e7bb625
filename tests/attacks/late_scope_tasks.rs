// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! A task of a scope submits others late, through the scope that it borrows, each of which does the same.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::Scope;
use lib::*;

attack!("late_scope_tasks");

fn chain<'scope>(scope: &'scope Scope<'scope, '_>, left: u64, sum: &'scope Atomic<u64>) -> Result {
    if left > 0 {
        scope.schedule(GFP_KERNEL, move |context| {
            let own = context.cookie();
            if left % 16 == 0 {
                pause(1);
            }
            sum.add((own < Cookie::now()).into(), Relaxed);
            let _ = chain(scope, left - 1, sum);
        })?;
    }
    Ok(())
}

fn attack() -> Result {
    let (domain, other) = (domain!("late"), domain!("other"));

    for _ in 0..5 {
        let sum = Atomic::new(0);
        domain.scope(|scope| {
            // Through a scope of another domain, too.
            other.scope(|inner| -> Result {
                inner.schedule(GFP_KERNEL, |_| _ = chain(scope, 100, &sum))?;
                chain(scope, 100, &sum)
            })
        })?;
        check_eq!(sum.load(Relaxed), 200);
    }
    check_eq!((domain.stats().finished, other.stats().finished), (1000, 5));
    Ok(())
}
