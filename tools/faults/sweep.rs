// SPDX-License-Identifier: GPL-2.0

//! Every operation, with each of its allocations failing in turn.

use crate::{
    bench::{
        ensure,
        Bench, //
    },
    injection::{
        self,
        Injection, //
    },
    operations::{
        Operation,
        OPERATIONS, //
    },
};
use async_domain::{
    errno::EOPNOTSUPP,
    synchronize_all, //
};
use kernel::prelude::*;

/// More allocations than any operation makes.
const MANY: u32 = 1000;

/// Runs an operation whose `nth` allocation fails; returns how many more it would have taken.
fn with_fault(bench: &mut Bench, operation: &Operation, nth: u32) -> Result<u32> {
    bench.injection = Injection::new(nth);
    let ret = (operation.run)(bench);
    let left = bench.injection.left();
    // What follows is checked without faults.
    bench.injection = Injection::new(0);

    ret.and_then(|()| bench.expect_drained())
        .inspect_err(|e| pr_err!("{}: allocation {nth} fails: {e:?}\n", operation.name))?;
    Ok(left)
}

/// Runs an operation until none of its allocations is left to fail; returns how many there are.
fn all_faults(bench: &mut Bench, operation: &Operation) -> Result<u32> {
    for nth in 1..MANY {
        let left = with_fault(bench, operation, nth)?;
        if left > 0 {
            return Ok(nth - left);
        }
    }
    pr_err!("{}: more than {MANY} allocations\n", operation.name);
    Err(EIO)
}

fn new_bench() -> Result<Bench> {
    if !injection::AVAILABLE {
        pr_err!("this kernel has no fault injection: take the debug kernel\n");
        return Err(EOPNOTSUPP);
    }
    Bench::new()
}

/// Runs each operation once, with its `nth` allocation failing.
pub(crate) fn once(nth: u32) -> Result {
    let mut bench = new_bench()?;

    for operation in &OPERATIONS {
        with_fault(&mut bench, operation, nth)?;
    }
    synchronize_all()
}

/// Sweeps all operations; prints how many allocation sites each has. If it is pages that fail, hardly any
/// has one, and the kernel may need some for purposes of its own.
pub(crate) fn run(pages: bool) -> Result {
    let mut bench = new_bench()?;
    let mut faults = 0;

    for operation in &OPERATIONS {
        let sites = all_faults(&mut bench, operation)?;

        pr_info!("sweep: {}: {sites} allocation sites\n", operation.name);
        if pages {
            // Nothing is known.
        } else if operation.allocates {
            ensure(
                sites > 0,
                "no allocation was seen: is failslab/ignore-gfp-wait set to N?",
            )?;
        } else {
            ensure(sites == 0, "it must not allocate")?;
        }
        faults += sites;
    }
    synchronize_all()?;
    pr_info!(
        "sweep: {} operations, {faults} allocation sites, as many faults injected\n",
        OPERATIONS.len()
    );
    Ok(())
}
