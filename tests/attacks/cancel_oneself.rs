// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Tasks of all kinds cancel themselves and all others from within, and destructors of what is cancelled do so again.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::future::poll_fn;
use core::task::Poll;
use lib::*;

attack!("cancel_oneself");

fn attack() -> Result {
    let domain = domain!("oneself");
    let (stopped, dropped) = (Count::new()?, Count::new()?);

    for _ in 0..50 {
        let (d, s) = (domain.clone(), stopped.clone());
        domain.schedule(GFP_KERNEL, move |context| {
            let taken = d.cancel(context.cookie());
            d.cancel_all();
            s.add((taken == Cancelled::AskedToStop && context.should_stop()).into());
        })?;
        domain.synchronize(..)?;

        // In both parts.
        let (d, d2, s) = (domain.clone(), domain.clone(), stopped.clone());
        domain.schedule_ordered(
            GFP_KERNEL,
            move |context| d.cancel(context.cookie()),
            move |taken, context| {
                let again = d2.cancel(context.cookie());
                s.add((taken == Cancelled::AskedToStop && again == taken).into());
            },
        )?;
        domain.synchronize(..)?;

        // A future that is never ready, and cancels itself as it is polled.
        let (d, guard) = (domain.clone(), dropped.dropped());
        domain.spawn(
            GFP_KERNEL,
            poll_fn(move |cx| {
                let _guard = &guard;
                if let Some(own) = d.lowest_in_progress() {
                    d.cancel(own);
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }),
        )?;
        domain.synchronize_with(patience(), ..)?;

        // Destructors that cancel what is behind them.
        let token = domain.begin(GFP_KERNEL)?;
        let gate = Gate::new()?;
        for _ in 0..4 {
            let d = domain.clone();
            let guard = dropped.dropped();
            let at_drop = AtDrop(move || _ = d.cancel_all());
            let g = gate.clone();
            domain.schedule_ordered(
                GFP_KERNEL,
                move |_| {
                    g.wait();
                    (at_drop, guard)
                },
                |both, _| drop(both),
            )?;
        }
        domain.cancel_all();
        gate.open();
        token.finish();
        domain.synchronize_with(patience(), ..)?;
    }
    check_eq!((stopped.get(), dropped.get()), (100, 50 * 5));
    Ok(())
}
