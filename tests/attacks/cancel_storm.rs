// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Cancelling races with submission of all kinds, with tasks that run, retire and wait, and with itself. Each task runs
//! or is cancelled, and is dropped once.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::future::pending;
use lib::*;

attack!("cancel_storm");

fn attack() -> Result {
    let domain = domain!("storm");
    let helpers = domain!("helpers");
    let (ran, dropped, cancelled) = (Count::new()?, Count::new()?, Count::new()?);
    let over = Gate::new()?;

    for _ in 0..2 {
        let (d, c, o) = (domain.clone(), cancelled.clone(), over.clone());
        let end = ran.clone();
        helpers.schedule(GFP_KERNEL, move |_| {
            while end.get() >> 32 == 0 {
                c.add(d.cancel_all() as u64);
                if let Some(lowest) = d.lowest_in_progress() {
                    c.add((d.cancel(lowest) == Cancelled::Dropped).into());
                    c.add((d.cancel(lowest.next()) == Cancelled::Dropped).into());
                }
            }
            o.wait();
        })?;
    }
    for _ in 0..100 {
        let (r, guard) = (ran.clone(), dropped.dropped());
        domain.schedule(GFP_KERNEL, move |_| {
            r.add(1);
            drop(guard);
        })?;
        let (r, guard) = (ran.clone(), dropped.dropped());
        domain.schedule_ordered(
            GFP_KERNEL,
            move |_| guard,
            move |guard, _| {
                r.add(1);
                drop(guard);
            },
        )?;
        let guard = dropped.dropped();
        domain.spawn(GFP_KERNEL, async move {
            let _guard = guard;
            pending::<()>().await;
        })?;
        let guard = dropped.dropped();
        let handle = domain.schedule_with_handle(GFP_KERNEL, move |_| guard)?;
        match handle.join() {
            Ok(_) => ran.add(1),
            Err(e) => check_eq!(e, ECANCELED),
        }
    }
    // Futures that were polled as they were cancelled are dropped all the same.
    domain.synchronize_with(patience(), ..)?;
    ran.add(1 << 32);
    over.open();
    helpers.synchronize(..)?;
    check_eq!(dropped.get(), 400);
    check_eq!(domain.stats().finished, 400);
    check!((ran.get() & 0xffff_ffff) + cancelled.get() <= 400);
    Ok(())
}
