// SPDX-License-Identifier: GPL-2.0
// Expect: panic "async_domain: a thread died in a task that is on its stack"
// Kernels: debug stock
// Append: sysctl.kernel.panic_on_oops=0

//! A thread panics in a task that it runs in its own context, from a stack that others refer to.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::hint::black_box;
use lib::*;

attack!("dies_in_task");

fn attack() -> Result {
    let domain = domain!("own_context");

    domain.set_limit(0);
    domain.schedule_or_run(GFP_KERNEL, |_| pr_info!("{}\n", [1, 2, 3][black_box(7)]))?;
    Ok(())
}
