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
            domain.schedule(move |_| pause(ms), GFP_KERNEL)?;
            domain.schedule_ordered(|_| (), move |(), _| pause(ms / 8), GFP_KERNEL)?;
        }
        let d = domain.clone();
        domain.spawn(
            poll_fn(move |_| {
                pause(5);
                let _ = d.schedule(|_| pause(20), GFP_KERNEL);
                Poll::Ready(())
            }),
            GFP_KERNEL,
        )?;
        let token = domain.begin(GFP_KERNEL)?;
        domain.schedule(
            move |_| {
                pause(20);
                drop(token);
            },
            GFP_KERNEL,
        )?;
        forget(domain);
    }
    Ok(())
}
