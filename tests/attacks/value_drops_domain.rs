// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Values of handles own the last reference to the domain of their task, and are dropped untaken, by the task and by
//! the thread that holds the handle.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("value_drops_domain");

fn attack() -> Result {
    let dropped = Count::new()?;

    for round in 0..50 {
        let domain = domain!("value");
        let (d, guard) = (domain.clone(), dropped.dropped());
        let gate = Gate::new()?;
        let g = gate.clone();
        let handle = domain.schedule_with_handle(GFP_KERNEL, move |_| {
            g.wait();
            (d, guard)
        })?;
        drop(domain);
        match round % 3 {
            0 => {
                drop(handle);
                gate.open();
            }
            1 => {
                gate.open();
                drop(handle);
            }
            _ => {
                gate.open();
                drop(handle.join()?);
            }
        }
        check!(eventually(|| dropped.get() == round + 1));
    }
    Ok(())
}
