// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Waits for, and cancels, cookies of other domains, of domains that are gone, and of the future.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("foreign_cookies");

fn attack() -> Result {
    let (one, other) = (domain!("one"), domain!("other"));
    let gone = {
        let gone = new_async_domain!("gone", GFP_KERNEL)?;
        gone.schedule(GFP_KERNEL, |_| ())?
    };

    let token = one.begin(GFP_KERNEL)?;
    let later = other.begin(GFP_KERNEL)?;
    check!(gone < token.cookie() && token.cookie() < later.cookie());
    one.synchronize(..=gone)?;
    one.synchronize(..token.cookie())?;
    check_eq!(
        one.synchronize_with(moment(), ..later.cookie()),
        Err(ETIMEDOUT)
    );
    check_eq!(one.cancel(later.cookie()), Cancelled::NotFound);
    check_eq!(other.cancel(token.cookie()), Cancelled::NotFound);
    check_eq!(one.cancel(gone), Cancelled::NotFound);

    let mut future = Cookie::now();
    for _ in 0..100 {
        future = future.next();
        let wait = one.synchronize_with(moment(), ..future);
        // Others get cookies, too.
        check!(wait == Err(EINVAL) || Cookie::now() >= future);
        check_eq!(one.cancel(future), Cancelled::NotFound);
    }
    token.finish();
    one.synchronize(..later.cookie())?;
    later.finish();
    check_eq!(one.stats().wakeups, 0);
    Ok(())
}
