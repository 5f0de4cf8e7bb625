// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! All that may be done in any context is done in hard interrupts.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::{
    new_completion_ring,
    new_event_counter,
    new_wait_table,
    threshold::{
        CompletionRing,
        EventCounter, //
    }, //
};
use lib::*;

attack!("all_in_interrupt");

#[pin_data]
struct Device {
    #[pin]
    ring: CompletionRing<u64>,
    #[pin]
    counter: EventCounter,
}

fn attack() -> Result {
    let domain = domain!("interrupts");
    let table = Arc::new(new_wait_table!(2, GFP_KERNEL, "interrupts")?, GFP_KERNEL)?;
    let device = Arc::pin_init(
        try_pin_init!(Device {
            ring <- new_completion_ring!(1000, GFP_KERNEL, "interrupts"),
            counter <- new_event_counter!("interrupts"),
        }),
        GFP_KERNEL,
    )?;
    let (ran, odd) = (Count::new()?, Count::new()?);

    for _ in 0..50 {
        let (d, t, dev) = (domain.clone(), table.clone(), device.clone());
        let (r, o) = (ran.clone(), odd.clone());
        let (r1, r2, r3) = (ran.clone(), ran.clone(), ran.clone());
        in_interrupt(move || {
            let results = [
                d.schedule(GFP_ATOMIC, move |_| r1.add(1)).is_ok(),
                d.schedule_ordered(GFP_ATOMIC, move |_| 1, move |n, _| r2.add(n))
                    .is_ok(),
                d.spawn(GFP_ATOMIC, async move { r3.add(1) }).is_ok(),
                d.begin(GFP_ATOMIC).is_ok(),
                dev.ring.post(1).is_ok(),
                dev.counter.advance(1) > 0,
                d.cancel(Cookie::now()) == Cancelled::NotFound,
            ];
            t.wake_up(1u32, || r.add(1));
            // It cannot run here.
            d.set_limit(0);
            let refused = d.schedule_or_run(GFP_ATOMIC, |_| ());
            d.set_limit(1000);
            o.add(results.iter().filter(|result| !**result).count() as u64);
            o.add((!matches!(refused, Err(e) if e.error == EAGAIN)).into());
        })?;
    }
    domain.synchronize(..)?;
    check_eq!((ran.get(), odd.get()), (200, 0));
    check_eq!((device.ring.available(), device.counter.read()), (50, 50));
    Ok(())
}
