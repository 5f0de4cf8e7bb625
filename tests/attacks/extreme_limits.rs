// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Limits of none and of all, changed while tasks are submitted.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("extreme_limits");

fn attack() -> Result {
    let domain = domain!("limited");
    let ran = Count::new()?;
    let task = || {
        let r = ran.clone();
        move |_: &TaskContext<'_>| r.add(1)
    };

    domain.set_limit(0);
    check!(matches!(domain.schedule(GFP_KERNEL, task()), Err(e) if e.error == EAGAIN));
    check_eq!(domain.begin(GFP_KERNEL).err(), Some(EAGAIN));
    check!(matches!(domain.spawn(GFP_KERNEL, async {}), Err(e) if e.error == EAGAIN));
    let batch = KVec::from_elem(|_: &TaskContext<'_>| (), 3, GFP_KERNEL)?;
    check!(matches!(domain.schedule_batch(GFP_KERNEL, batch), Err(e) if e.error == EAGAIN));
    check_eq!(
        domain.scope(|scope| scope.schedule(GFP_KERNEL, |_| ()).is_ok()),
        false
    );

    domain.set_limit(usize::MAX);
    for _ in 0..100 {
        domain.schedule(GFP_KERNEL, task())?;
    }
    let token = domain.begin(GFP_KERNEL)?;
    // Below what there is.
    domain.set_limit(1);
    check!(matches!(domain.schedule(GFP_KERNEL, task()), Err(e) if e.error == EAGAIN));
    token.finish();
    domain.synchronize(..)?;
    domain.schedule(GFP_KERNEL, task())?;
    domain.synchronize(..)?;
    check_eq!((ran.get(), domain.stats().finished), (101, 102));
    Ok(())
}
