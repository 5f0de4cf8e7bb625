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
    let mut wait = pin!(domain.synchronize_async(GFP_KERNEL, ..Cookie::now()));
    for _ in 0..3 {
        check_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    }

    for round in 0..50 {
        let token = domain.begin(GFP_KERNEL)?;
        let done = token.cookie().next();
        let mut wait = KBox::pin(domain.synchronize_async(GFP_KERNEL, ..done), GFP_KERNEL)?;
        let dropped = domain.synchronize_async(GFP_KERNEL, ..done);
        check_eq!(wait.as_mut().poll(&mut cx), Poll::Pending);
        {
            let mut dropped = pin!(dropped);
            check_eq!(dropped.as_mut().poll(&mut cx), Poll::Pending);
            if round % 2 == 0 {
                // In place, and never polled again.
                dropped.set(domain.synchronize_async(GFP_KERNEL, ..done));
            }
        }
        // Another thread polls it with another waker, and drops it as it is woken.
        tasks.scope(|scope| -> Result {
            let wait = &mut wait;
            scope.schedule(GFP_KERNEL, move |_| {
                let waker = Waker::noop().clone();
                let mut cx = task::Context::from_waker(&waker);
                for _ in 0..10 {
                    let _ = wait.as_mut().poll(&mut cx);
                }
            })?;
            if round % 3 == 0 {
                token.finish();
            } else {
                scope.schedule(GFP_KERNEL, move |_| token.finish())?;
            }
            Ok(())
        })?;
        match round % 4 {
            0 => drop(wait),
            _ => check_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(Ok(()))),
        }
    }
    domain.synchronize(..)?;
    check!(domain.stats().finished == 50);

    // For itself.
    let d = domain.clone();
    let result = Count::new()?;
    let r = result.clone();
    domain.spawn(GFP_KERNEL, async move {
        let own = d.synchronize_async(GFP_KERNEL, ..Cookie::now()).await;
        r.add(if own == Err(EDEADLK) { 1 } else { 1 << 32 });
    })?;
    domain.synchronize(..)?;
    check_eq!(result.get(), 1);
    Ok(())
}
