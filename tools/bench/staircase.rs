// SPDX-License-Identifier: GPL-2.0

//! Workload a: a staircase, one waiter for each cookie; tasks end in cookie order, one at a time.
//!
//! `n` tasks wait in workers, and `n` threads each for the cookie of one. A task is let go when all
//! waiters sleep again, so that each one that the end of the task before has woken has run, whether
//! for good or spuriously. Counted is what the waiters use from the first end to the last: how often
//! they were switched away from (the last time is that at which they are done), and how long they
//! ran. What the tasks and their workers use is not.

use crate::{
    form::{
        Core,
        Domain,
        Form,
        Kernel, //
    },
    gate::Gated,
    params::Params,
    results::{
        Case,
        Results,
        Sheet, //
    },
    team::Team,
};
use kernel::prelude::*;

/// The kernel's side switches about n²/2.6 times: beyond this it only costs time to see it again.
const KERNEL_MAX: usize = 900;

pub(crate) fn run(params: &Params, results: &mut Results) -> Result {
    for n in params.sizes.iter().map(|&n| n as usize) {
        let case = |side| Case { side, n };

        if n > KERNEL_MAX {
            results.skip(case("kernel"), "its waiters would switch n^2/2.6 times");
        } else {
            results.measure_cold(params, case("kernel"), |sheet| {
                spaced(&Kernel::new()?, n, sheet)
            })?;
        }
        results.measure_cold(params, case("domain"), |sheet| {
            spaced(&Domain::new()?, n, sheet)
        })?;
        results.measure_cold(params, case("limit"), |sheet| {
            spaced(&Core::limit()?, n, sheet)
        })?;
    }
    Ok(())
}

fn spaced<F: Form>(form: &F, n: usize, sheet: &mut Sheet<'_>) -> Result {
    let tasks = Gated::new(form, n)?;
    let used = Team::with(n, None, &|i| tasks.synchronize(i), |team| {
        let before = team.usage();

        for i in 0..n {
            tasks.open(i);
            team.wait_for(i + 1);
            team.settle();
        }
        team.usage().since(before)
    })?;

    sheet.count("switches", used.switches)?;
    sheet.ns("waiter_cpu_ns", used.cpu_ns)
}
