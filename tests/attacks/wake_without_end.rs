// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Futures that are woken a hundred thousand times: within one poll, once in each of many polls, and by others meanwhile.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::future::poll_fn;
use core::task::Poll;
use lib::*;

attack!("wake_without_end");

fn attack() -> Result {
    let domain = domain!("woken");
    let polls = Count::new()?;

    domain.spawn(
        GFP_KERNEL,
        poll_fn(|cx| {
            for _ in 0..100_000 {
                cx.waker().wake_by_ref();
            }
            Poll::Ready(())
        }),
    )?;
    let p = polls.clone();
    domain.spawn(
        GFP_KERNEL,
        poll_fn(move |cx| {
            p.add(1);
            cx.waker().wake_by_ref();
            if p.get() == 5_000 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }),
    )?;
    // Woken by another task as it is polled, and after it was ready.
    let d = domain.clone();
    let mut last = 200;
    domain.spawn(
        GFP_KERNEL,
        poll_fn(move |cx| {
            let waker = cx.waker().clone();
            let woken = d.schedule(GFP_KERNEL, move |_| {
                for _ in 0..100 {
                    waker.wake_by_ref();
                }
            });
            last -= 1;
            if last == 0 || woken.is_err() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }),
    )?;
    domain.synchronize_with(patience(), ..)?;
    check_eq!(polls.get(), 5_000);
    Ok(())
}
