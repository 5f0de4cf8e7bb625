// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock
// Unload: refused

//! Leaks a token. Its own domain never gets empty, and its module stays; nobody else notices.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::synchronize_all;
use core::mem::forget;
use lib::*;

attack!("leak_token");

fn attack() -> Result {
    let leaky = KBox::leak(KBox::new(
        new_async_domain!("leaky", exclusive, GFP_KERNEL)?,
        GFP_KERNEL,
    )?);
    let domain = domain!("innocent");
    let ran = Count::new()?;

    let before = leaky.schedule(GFP_KERNEL, |_| ())?;
    let token = leaky.begin(GFP_KERNEL)?;
    let cookie = token.cookie();
    forget(token);
    let r = ran.clone();
    leaky.schedule(GFP_KERNEL, move |_| r.add(1))?;
    let r = ran.clone();
    domain.schedule(GFP_KERNEL, move |_| r.add(1))?;

    domain.synchronize(..)?;
    synchronize_all()?;
    leaky.synchronize(..=before)?;
    check_eq!(leaky.synchronize_with(moment(), ..=cookie), Err(ETIMEDOUT));
    check_eq!(leaky.synchronize_with(moment(), ..), Err(ETIMEDOUT));
    check!(eventually(|| ran.get() == 2));
    check_eq!(leaky.cancel(cookie), Cancelled::AskedToStop);
    check_eq!(leaky.lowest_in_progress(), Some(cookie));
    Ok(())
}
