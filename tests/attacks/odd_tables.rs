// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Tables of impossible sizes; keys of no size and of the same address; and wake-ups in the shared table for
//! resources of others.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::{
    keyed::{
        shared,
        Address,
        WaitTable, //
    },
    new_wait_table, //
};
use lib::*;

attack!("odd_tables");

fn attack() -> Result {
    for size in [0, 3, 5, (1 << 20) + 1, 1 << 21, 1 << 63, usize::MAX] {
        let table: Result<WaitTable<u64>> = new_wait_table!(size, GFP_KERNEL, "odd");
        check_eq!(table.err(), Some(EINVAL));
    }

    let units: WaitTable<()> = new_wait_table!(1, GFP_KERNEL, "units")?;
    check_eq!(units.wake_up_all((), || ()).shared, 0);
    units.wait_event((), patience(), || true)?;
    check_eq!(
        units.wait_event_exclusive((), moment(), || false),
        Err(ETIMEDOUT)
    );

    let tasks = domain!("tasks");
    let (mine, theirs) = (Arc::new([1u64; 2], GFP_KERNEL)?, [(); 0]);
    let woken = Count::new()?;
    for i in 0..8 {
        let (m, w) = (mine.clone(), woken.clone());
        tasks.schedule(GFP_KERNEL, move |_| {
            let key = Address::of(&*m).index(i);
            w.add(
                shared()
                    .wait_event(key, patience(), || false)
                    .is_ok()
                    .into(),
            );
        })?;
    }
    // The same address by other types, other numbers, and things of no size.
    for i in 8..64 {
        check_eq!(
            shared()
                .wake_up_all(Address::of(&*mine).index(i), || ())
                .shared,
            0
        );
        check_eq!(
            shared()
                .wake_up_all(Address::of(&mine[0]).index(i - 8), || ())
                .shared,
            0
        );
        check_eq!(
            shared().wake_up_all(Address::of(&theirs), || ()).exclusive,
            0
        );
    }
    check_eq!(woken.get(), 0);
    for i in 0..8 {
        let key = Address::of(&*mine).index(i);
        check!(eventually(|| shared().wake_up(key, || ()).shared == 1));
    }
    tasks.synchronize(..)?;
    check_eq!(woken.get(), 8);
    Ok(())
}
