// SPDX-License-Identifier: GPL-2.0

//! All operations, again and again, by several tasks at a time, while allocations fail at random.

use crate::{
    bench::{
        ensure,
        refusals,
        Bench, //
    },
    ledger::Ticket,
    operations::OPERATIONS, //
};
use async_domain::{
    new_async_domain,
    synchronize_all,
    Submit,
    TaskContext, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    },
};

const TASKS: i32 = 4;

fn rounds(count: u32, failed: &Atomic<i32>) -> Result {
    let bench = Bench::new()?;

    for _ in 0..count {
        for operation in OPERATIONS.iter().filter(|operation| operation.storms) {
            if failed.load(Relaxed) > 0 {
                return Ok(());
            }
            (operation.run)(&bench).inspect_err(|e| pr_err!("{}: {e:?}\n", operation.name))?;
        }
    }
    bench.expect_drained()
}

/// Runs all operations `count` times, in each of a few tasks.
pub(crate) fn run(count: u32) -> Result {
    let mut bench = Bench::new()?;
    // Its tasks wait for those of other domains.
    bench.domain = crate::bench::insist(|| {
        Ok(Arc::new(
            new_async_domain!("storm", exclusive, GFP_KERNEL)?,
            GFP_KERNEL,
        )?)
    })?;
    let ledger = bench.ledger()?;
    let failed = crate::bench::insist(|| Ok(Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?))?;

    for _ in 0..TASKS {
        let (ticket, failed) = (Ticket::new(&ledger), failed.clone());
        bench.submit(
            // Others of its tickets are being run.
            &*bench.ledger()?,
            move |_: &TaskContext<'_>| {
                ticket.run();
                if rounds(count, &failed).is_err() {
                    failed.add(1, Relaxed);
                }
            },
            |func| bench.domain.schedule(GFP_KERNEL, func),
        )?;
    }
    bench.domain.synchronize(..)?;
    ledger.expect("storm", TASKS, TASKS)?;
    synchronize_all()?;
    ensure(failed.load(Relaxed) == 0, "an operation has failed")?;

    let operations = OPERATIONS.iter().filter(|operation| operation.storms);
    pr_info!(
        "storm: {} operations, {} refusals\n",
        operations.count() * count as usize * TASKS as usize,
        refusals()
    );
    Ok(())
}
