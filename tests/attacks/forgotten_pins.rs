// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock
// Unload: refused

//! Domains and waits in memory that is freed without being dropped: in a `MaybeUninit`, and in an initialiser that
//! fails. What is registered is leaked, and does not dangle.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::future::Future;
use core::mem::MaybeUninit;
use core::task::{
    self,
    Waker, //
};
use lib::*;

attack!("forgotten_pins");

fn attack() -> Result {
    let domain = domain!("waited_for");
    let mut cx = task::Context::from_waker(Waker::noop());

    for _ in 0..20 {
        drop(KBox::new(
            MaybeUninit::new(new_async_domain!("undropped", GFP_KERNEL)?),
            GFP_KERNEL,
        )?);
        let token = domain.begin(GFP_KERNEL)?;
        let done = token.cookie().next();
        let mut wait = KBox::new(MaybeUninit::uninit(), GFP_KERNEL)?;
        let polled = Pin::new(MaybeUninit::write(
            &mut wait,
            domain.synchronize_async(GFP_KERNEL, ..done),
        ))
        .poll(&mut cx);
        check!(polled.is_pending());
        drop(wait);
        // The entry that stays is called now.
        token.finish();
        domain.synchronize(..done)?;
    }
    async_domain::synchronize_all()?;
    domain.synchronize(..)?;
    Ok(())
}
