// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Batches of none, of ten thousand, and of more than the domain takes, which are refused whole and given back.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("batches");

fn attack() -> Result {
    let domain = domain!("batches");
    let dropped = Count::new()?;
    let batch = |n| -> Result<_> {
        let mut batch = KVec::with_capacity(n, GFP_KERNEL)?;
        for _ in 0..n {
            let guard = dropped.dropped();
            batch.push(move |_: &TaskContext<'_>| drop(guard), GFP_KERNEL)?;
        }
        Ok(batch)
    };

    let refused = domain
        .schedule_batch(GFP_KERNEL, batch(0)?)
        .err()
        .ok_or(EIO)?;
    check!(refused.error == EINVAL);
    let refused = domain
        .on_node(0)?
        .schedule_batch(GFP_KERNEL, batch(0)?)
        .err()
        .ok_or(EIO)?;
    check!(refused.error == EINVAL);

    domain.set_limit(999);
    let token = domain.begin(GFP_KERNEL)?;
    let refused = domain
        .schedule_batch(GFP_KERNEL, batch(999)?)
        .err()
        .ok_or(EIO)?;
    check_eq!(
        (refused.error, refused.task.len(), dropped.get()),
        (EAGAIN, 999, 0)
    );
    check_eq!(domain.stats().submitted, 1);
    drop(refused);
    check_eq!(dropped.get(), 999);

    domain.set_limit(2_001);
    let cookies = domain.schedule_batch(GFP_KERNEL, batch(2_000)?)?;
    check!(token.cookie() < cookies.start);
    check!(cookies.end.as_u64() - cookies.start.as_u64() >= 2_000);
    token.finish();
    domain.synchronize(..cookies.end)?;
    check_eq!(dropped.get(), 2_999);

    // Cancelled in the middle.
    domain.schedule_batch(GFP_KERNEL, batch(1_000)?)?;
    let cancelled = domain.cancel_all();
    domain.synchronize(..)?;
    check!(cancelled <= 1_000);
    check_eq!(dropped.get(), 3_999);
    Ok(())
}
