// SPDX-License-Identifier: GPL-2.0
// Expect: panic "an interrupt waits, and cannot"
// Kernels: debug stock

//! A domain that has a task is dropped in a hard interrupt, which cannot wait for it.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::mem::forget;
use lib::*;

attack!("domain_in_interrupt");

fn attack() -> Result {
    let domain = new_async_domain!("interrupted", GFP_KERNEL)?;

    forget(domain.begin(GFP_KERNEL)?);
    in_interrupt(move || drop(domain))
}
