// SPDX-License-Identifier: GPL-2.0

//! A task may outlive what the function that submitted it was lent.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

#[cfg(wicked)]
type Lent<'a> = &'a Atomic<i32>;
#[cfg(not(wicked))]
type Lent<'a> = &'static Atomic<i32>;

fn count(domain: &AsyncDomain, count: Lent<'_>) -> Result {
    // error[E0521]: borrowed data escapes outside of function
    domain.schedule(GFP_KERNEL, move |_| count.add(1, Relaxed))?;
    Ok(())
}
