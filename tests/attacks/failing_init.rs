// SPDX-License-Identifier: GPL-2.0
// Expect: refused "Input/output error"
// Kernels: debug stock

//! An init function fails, and leaves tasks of all kinds behind, in domains that it has leaked: they end before the
//! module's memory does.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::future::poll_fn;
use core::mem::forget;
use core::task::Poll;
use lib::*;

attack!("failing_init", EIO);

fn attack() -> Result {
    for _ in 0..4 {
        let domain = domain!("left_behind" exclusive);

        for ms in 0..20 {
            domain.schedule(GFP_KERNEL, move |_| pause(ms))?;
            domain.schedule_ordered(GFP_KERNEL, |_| (), move |(), _| pause(ms / 8))?;
        }
        let d = domain.clone();
        domain.spawn(
            GFP_KERNEL,
            poll_fn(move |_| {
                pause(5);
                let _ = d.schedule(GFP_KERNEL, |_| pause(20));
                Poll::Ready(())
            }),
        )?;
        let token = domain.begin(GFP_KERNEL)?;
        domain.schedule(GFP_KERNEL, move |_| {
            pause(20);
            drop(token);
        })?;
        forget(domain);
    }
    Ok(())
}
