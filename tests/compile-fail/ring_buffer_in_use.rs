// SPDX-License-Identifier: GPL-2.0

//! The buffer of a wait belongs to the ring as long as the wait lasts.

use async_domain::{
    threshold::CompletionRing,
    WaitMode, //
};
use kernel::prelude::*;

fn wait(ring: &CompletionRing<u32>) -> Result<u32> {
    let mut answers = [0; 8];
    #[cfg(wicked)]
    let first = &answers[0];

    // error[E0502]: cannot borrow `answers` as mutable because it is also borrowed as immutable
    ring.wait(&mut answers, 1, WaitMode::KILLABLE)?;
    #[cfg(not(wicked))]
    let first = &answers[0];
    Ok(*first)
}
