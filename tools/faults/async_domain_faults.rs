// SPDX-License-Identifier: GPL-2.0

//! What happens when memory, workers or CPUs are missing: nothing is lost, leaked or run twice.
//!
//! Loading the module runs what its parameters say, and fails if anything is wrong; the kernel log says
//! what. `tools/guest/faults` and `tools/guest/starvation` set the scene.

use kernel::prelude::*;

mod answer;
mod bench;
mod injection;
mod ledger;
mod operations;
mod starve;
mod storm;
mod sweep;

module! {
    type: Faults,
    name: "async_domain_faults",
    authors: ["The async_domain developers"],
    description: "Fault tests of async_domain",
    license: "GPL",
    params: {
        sweep: bool {
            default: false,
            description: "Run every operation with each of its allocations failing in turn",
        },
        once: u32 {
            default: 0,
            description: "Run every operation, with the allocation of this number failing",
        },
        pages: bool {
            default: false,
            description: "Pages fail in the sweep, not slabs",
        },
        storm: u32 {
            default: 0,
            description: "Run every operation that often, in several tasks",
        },
        starve: bool {
            default: false,
            description: "Take all places of the workqueue",
        },
    },
}

struct Faults;

fn run() -> Result {
    if module_parameters::sweep.value() {
        sweep::run(module_parameters::pages.value())?;
    }
    match module_parameters::once.value() {
        0 => (),
        nth => sweep::once(nth)?,
    }
    match module_parameters::storm.value() {
        0 => (),
        count => storm::run(count)?,
    }
    if module_parameters::starve.value() {
        starve::run()?;
    }
    Ok(())
}

impl kernel::Module for Faults {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        run().inspect_err(|e| pr_err!("verdict: failed: {e:?}\n"))?;
        pr_info!("verdict: passed\n");
        Ok(Self)
    }
}
