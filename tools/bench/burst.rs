// SPDX-License-Identifier: GPL-2.0

//! Workload b: the staircase of workload a in one burst.
//!
//! `n` tasks wait in workers, at one gate, and `n` threads each for the cookie of one. Measured is the
//! time from the opening of the gate to the moment when the last waiter has returned from its wait.
//! Opening it makes all workers runnable before any of them runs, in cookie order: the kernel's side
//! is slower still if tasks are let go one by one, since more waiters run spuriously in between.
//!
//! In the time is, for each task: the wake-up of its worker, which returns from the function, ends the
//! task and wakes waiters; and the switches to worker and waiter. All forms have the same tasks, and
//! let them go in the same way, so that what is different is what a form does to end a task and to
//! release a waiter. On the side `token` there is no worker: one thread ends all tasks, in cookie
//! order, which leaves the wake-ups alone.
//!
//! The kernel runs 1024 tasks at a time, and a domain 2048; of a larger `n` the rest starts, and ends
//! at once, as those before them end.

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
    time::{
        now,
        settle, //
    },
};
use kernel::prelude::*;

/// As in workload a, but that waiters which are woken several times before they run, run once.
const KERNEL_MAX: usize = 4096;

pub(crate) fn run(params: &Params, results: &mut Results) -> Result {
    for n in params.sizes.iter().map(|&n| n as usize) {
        let case = |side| Case { side, n };

        if n > KERNEL_MAX {
            results.skip(case("kernel"), "its cost grows with n^2");
            results.skip(case("patch2025"), "its cost grows with n^2");
        } else {
            results.measure(params, case("kernel"), |sheet| {
                tasks(&Kernel::new()?, n, sheet)
            })?;
            results.measure(params, case("patch2025"), |sheet| {
                tasks(&Core::patch2025()?, n, sheet)
            })?;
        }
        results.measure(params, case("domain"), |sheet| {
            tasks(&Domain::new()?, n, sheet)
        })?;
        results.measure(params, case("limit"), |sheet| {
            tasks(&Core::limit()?, n, sheet)
        })?;
        results.measure(params, case("token"), |sheet| tokens(n, sheet))?;
    }
    Ok(())
}

fn tasks<F: Form>(form: &F, n: usize, sheet: &mut Sheet<'_>) -> Result {
    let tasks = Gated::with_one_gate(form, n)?;
    let ns = Team::with(n, None, &|i| tasks.synchronize(i), |team| {
        settle();
        let start = now();

        tasks.open(0);
        team.wait_released() - start
    })?;

    sheet.ns("ns", ns)?;
    sheet.ns_per("ns_per_task", ns, n)
}

fn tokens(n: usize, sheet: &mut Sheet<'_>) -> Result {
    let domain = Domain::new()?;
    let mut tokens = KVVec::with_capacity(n, GFP_KERNEL)?;
    let mut cookies = KVVec::with_capacity(n, GFP_KERNEL)?;

    for _ in 0..n {
        let token = domain.0.begin(GFP_KERNEL)?;

        cookies.push(token.cookie(), GFP_KERNEL)?;
        tokens.push(token, GFP_KERNEL)?;
    }
    let ns = Team::with(n, None, &|i| domain.synchronize(cookies[i]), |team| {
        settle();
        let start = now();

        for token in tokens {
            token.finish();
        }
        team.wait_released() - start
    })?;

    sheet.ns("ns", ns)?;
    sheet.ns_per("ns_per_task", ns, n)
}
