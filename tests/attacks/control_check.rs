// SPDX-License-Identifier: GPL-2.0
// Expect: failed "1 + 1 == 3"
// Kernels: debug stock

//! No attack: a check that does not hold. Were this not noticed, nothing would be.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("control_check");

fn attack() -> Result {
    check!(1 + 1 == 3);
    Ok(())
}
