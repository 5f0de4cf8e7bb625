// SPDX-License-Identifier: GPL-2.0

//! `retire` takes what `work` returns, and nothing else.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

#[cfg(wicked)]
type Retired = i64;
#[cfg(not(wicked))]
type Retired = i32;

fn submit(domain: &AsyncDomain) -> Result {
    // error[E0631]: type mismatch in closure arguments
    domain.schedule_ordered(GFP_KERNEL, |_| 1_i32, |_: Retired, _: &_| ())?;
    Ok(())
}
