// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! The future of `wait()`: polled after it was ready, with other wakers each time, by other threads, for what is in the
//! future, for its own task, and dropped in place while it stands in the queue.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::future::Future;
use core::pin::pin;
use core::task::{
    self,
    Poll,
    Waker, //
};
use lib::*;

attack!("odd_waits");

fn attack() -> Result {
    let (domain, tasks) = (domain!("waited_for"), domain!("tasks"));
    let noop = Waker::noop();
    let mut cx = task::Context::from_waker(noop);

    // Ready, and ready again.
    let mut wait = pin!(domain.wait(Cookie::now(), GFP_KERNEL));
    for _ in 0..3 {
        check_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    }

    for round in 0..50 {
        let token = domain.begin(GFP_KERNEL)?;
        let done = token.cookie().next();
        let mut wait = KBox::pin(domain.wait(done, GFP_KERNEL), GFP_KERNEL)?;
        let dropped = domain.wait(done, GFP_KERNEL);
        check_eq!(wait.as_mut().poll(&mut cx), Poll::Pending);
        {
            let mut dropped = pin!(dropped);
            check_eq!(dropped.as_mut().poll(&mut cx), Poll::Pending);
            if round % 2 == 0 {
                // In place, and never polled again.
                dropped.set(domain.wait(done, GFP_KERNEL));
            }
        }
        // Another thread polls it with another waker, and drops it as it is woken.
        tasks.scope(|scope| -> Result {
            let wait = &mut wait;
            scope.schedule(
                move |_| {
                    let waker = Waker::noop().clone();
                    let mut cx = task::Context::from_waker(&waker);
                    for _ in 0..10 {
                        let _ = wait.as_mut().poll(&mut cx);
                    }
                },
                GFP_KERNEL,
            )?;
            if round % 3 == 0 {
                token.finish();
            } else {
                scope.schedule(move |_| token.finish(), GFP_KERNEL)?;
            }
            Ok(())
        })?;
        match round % 4 {
            0 => drop(wait),
            _ => check_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(Ok(()))),
        }
    }
    domain.synchronize_full()?;
    check!(domain.stats().finished == 50);

    // For itself.
    let d = domain.clone();
    let result = Count::new()?;
    let r = result.clone();
    domain.spawn(
        async move {
            let own = d.wait(Cookie::now(), GFP_KERNEL).await;
            r.add(if own == Err(EDEADLK) { 1 } else { 1 << 32 });
        },
        GFP_KERNEL,
    )?;
    domain.synchronize_full()?;
    check_eq!(result.get(), 1);
    Ok(())
}
