// SPDX-License-Identifier: GPL-2.0
// Expect: complaint "BUG: control"
// Kernels: debug stock

//! No attack: what the kernel's log has to say when something is wrong.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("control_complaint");

fn attack() -> Result {
    pr_err!("BUG: control\n");
    Ok(())
}
