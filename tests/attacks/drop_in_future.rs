// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Futures hold the last owner of the domain that runs them: dropped while polled, when ready, and when cancelled.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::future::{
    pending,
    poll_fn, //
};
use core::task::Poll;
use lib::*;

attack!("drop_in_future");

fn attack() -> Result {
    let dropped = Count::new()?;

    for _ in 0..50 {
        // While it is polled.
        let domain = domain!("polled");
        let (gate, guard) = (Gate::new()?, dropped.dropped());
        let (d, g) = (domain.clone(), gate.clone());
        let mut held = Some((d, guard));
        domain.spawn(
            GFP_KERNEL,
            poll_fn(move |_| {
                g.wait();
                drop(held.take());
                Poll::Ready(())
            }),
        )?;
        drop(domain);
        gate.open();

        // When it is ready.
        let domain = domain!("ready");
        let (gate, guard) = (Gate::new()?, dropped.dropped());
        let (d, g) = (domain.clone(), gate.clone());
        domain.spawn(GFP_KERNEL, async move {
            let _held = (d, guard);
            g.wait();
        })?;
        drop(domain);
        gate.open();

        // When it is cancelled, by the thread that holds the last reference but this.
        let domain = domain!("cancelled");
        let guard = dropped.dropped();
        let d = domain.clone();
        let cookie = domain.spawn(GFP_KERNEL, async move {
            let _held = (d, guard);
            pending::<()>().await;
        })?;
        domain.cancel(cookie);
        domain.synchronize(..)?;
    }
    check!(eventually(|| dropped.get() == 150));
    Ok(())
}
