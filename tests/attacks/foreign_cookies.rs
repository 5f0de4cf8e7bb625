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
        gone.schedule(|_| (), GFP_KERNEL)?
    };

    let token = one.begin(GFP_KERNEL)?;
    let later = other.begin(GFP_KERNEL)?;
    check!(gone < token.cookie() && token.cookie() < later.cookie());
    one.synchronize_cookie(gone.next())?;
    one.synchronize_cookie(token.cookie())?;
    check_eq!(
        one.synchronize_cookie_with(later.cookie(), moment()),
        Err(ETIMEDOUT)
    );
    check!(!one.cancel(later.cookie()) && !other.cancel(token.cookie()) && !one.cancel(gone));

    let mut future = Cookie::now();
    for _ in 0..100 {
        future = future.next();
        let wait = one.synchronize_cookie_with(future, moment());
        // Others get cookies, too.
        check!(wait == Err(EINVAL) || Cookie::now() >= future);
        check!(!one.cancel(future));
    }
    token.finish();
    one.synchronize_cookie(later.cookie())?;
    later.finish();
    check_eq!(one.stats().wakeups, 0);
    Ok(())
}
