// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! The last owner of a domain is dropped by the retire part of an ordered task, behind which others are.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("drop_in_retire");

fn attack() -> Result {
    for _ in 0..50 {
        let domain = domain!("retired");
        let (done, dropped) = (Count::new()?, Count::new()?);
        let gate = Gate::new()?;

        let (d, g) = (domain.clone(), gate.clone());
        let guard = dropped.dropped();
        domain.schedule_ordered(
            GFP_KERNEL,
            move |_| {
                g.wait();
                (d, guard)
            },
            |both, _| drop(both),
        )?;
        for _ in 0..3 {
            let d = done.clone();
            domain.schedule_ordered(GFP_KERNEL, |_| (), move |(), _| d.add(1))?;
        }
        drop(domain);
        gate.open();
        check!(eventually(|| dropped.get() == 1 && done.get() == 3));
    }
    Ok(())
}
