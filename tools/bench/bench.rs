// SPDX-License-Identifier: GPL-2.0

//! The benchmark: this project's forms, those of the kernel, and the limit, in one module.
//!
//! Writing to the parameter `run` runs the workloads, one after the other; the results are lines in the
//! kernel log. (Not loading the module: a module that is being loaded is treated otherwise, by the kernel
//! and by the library.) Every workload is in a file of its own, which says what is measured, and what belongs to it.
//!
//! # What it logs
//!
//! ```text
//! async_domain_bench: result workload=a side=kernel n=900 repeat=0 metric=switches value=312000 unit=count
//! async_domain_bench: skip workload=a side=kernel n=4096 reason="..."
//! async_domain_bench: error workload=a side=kernel n=900: ENOMEM
//! async_domain_bench: finished
//! ```
//!
//! A value is a decimal number, which may have a fractional part. Lines are written between
//! measurements, never during one. The last line comes whatever happened before it, unless a
//! parameter is wrong: then the module is not loaded.
//!
//! # Parameters
//!
//! See `modinfo async_domain_bench`. Sides that are not measured with `sides=` are not touched.

use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

mod countdown;
mod ffi;
mod form;
mod gate;
mod params;
mod results;
mod team;
mod time;

mod burst;
mod by_hand;
mod domains;
mod keyed;
mod nobody_waits;
mod ordered;
mod reverse;
mod staircase;
mod threshold;

use params::Params;
use results::Results;

module! {
    type: Bench,
    name: "async_domain_bench",
    authors: ["The async_domain developers"],
    description: "Benchmark of async_domain",
    license: "GPL",
}

/// A workload measures some sides, as the parameters say.
type Workload = fn(&Params, &mut Results) -> Result;

const WORKLOADS: [(char, Workload); 9] = [
    ('a', staircase::run),
    ('b', burst::run),
    ('c', nobody_waits::run),
    ('d', reverse::run),
    ('e', domains::run),
    ('f', ordered::run),
    ('g', keyed::run),
    ('h', threshold::run),
    ('i', by_hand::run),
];

struct Bench;

impl kernel::Module for Bench {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Params::new().inspect_err(|_| pr_err!("error: a parameter is wrong, see modinfo\n"))?;
        Ok(Self)
    }
}

impl Bench {
    fn run() -> Result {
        let params = Params::new()?;

        // What the boot has left to be done in the background costs as much as what is measured.
        fsleep(Delta::from_secs(5));

        let mut measured = 0;
        for (letter, workload) in WORKLOADS {
            if !params.has_workload(letter) {
                continue;
            }
            let mut results = Results::new(letter);
            let ret = workload(&params, &mut results);

            results.print();
            measured += results.len();
            if let Err(error) = ret {
                pr_err!("error workload={letter}: {error:?}\n");
            }
        }
        if measured == 0 {
            pr_err!("error: nothing was measured: none of workloads= has one of sides=\n");
        }
        pr_info!("finished\n");
        Ok(())
    }
}

/// Is called by `parameters.c` when somebody writes to `run`, one at a time.
#[no_mangle]
extern "C" fn bench_run() -> c_int {
    Bench::run().map_or_else(|error| error.to_errno(), |()| 0)
}
