// SPDX-License-Identifier: GPL-2.0

//! Workload d: tasks end before an earlier one does, so that none of them moves the frontier.
//!
//! One task stays to the end, and `n` threads (perhaps none) wait for it and what comes after it.
//! Nobody is to be woken meanwhile. On the side `token`, 256 tokens are finished in reverse order, and
//! `ns_per_completion` is the time of finishing one, and nothing else. On the other sides, 256 tasks
//! are submitted, run and end, and `ns_per_completion` is the time for all of that, as in workload c:
//! what one more waiter costs is in the difference to `n` = 0. What the waiters did is in `switches`
//! and `waiter_cpu_ns`.

use crate::{
    countdown::Countdown,
    form::{
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
    team::{
        Team,
        Usage, //
    },
    time::{
        now,
        settle, //
    },
};
use kernel::prelude::*;

/// How many tasks end.
const TASKS: usize = 256;

pub(crate) fn run(params: &Params, results: &mut Results) -> Result {
    let sizes = params.sizes.iter().map(|&n| n as usize);

    for n in Iterator::chain([0].into_iter(), sizes) {
        let case = |side| Case { side, n };

        results.measure(params, case("kernel"), |sheet| {
            tasks(&Kernel::new()?, n, sheet)
        })?;
        results.measure(params, case("domain"), |sheet| {
            tasks(&Domain::new()?, n, sheet)
        })?;
        results.measure(params, case("token"), |sheet| tokens(n, sheet))?;
    }
    Ok(())
}

fn tasks<F: Form>(form: &F, n: usize, sheet: &mut Sheet<'_>) -> Result {
    let ended = Countdown::new(TASKS)?;
    let first = Gated::new(form, 1)?;
    let (ns, used) = Team::with(n, None, &|_| first.synchronize(0), |team| {
        settle();
        let before = team.usage();
        let start = now();

        let ret = (0..TASKS).try_for_each(|_| {
            // SAFETY: When the team is gone, `first` is dropped, which waits for all tasks,
            // before the countdown is.
            unsafe { form.schedule(&*ended) }.map(|_| ())
        });
        let ns = ret.map(|()| ended.end() - start);
        team.settle();
        let used = team.usage().since(before);
        first.open(0);
        (ns, used)
    })?;
    report(sheet, ns?, used)
}

fn tokens(n: usize, sheet: &mut Sheet<'_>) -> Result {
    let domain = Domain::new()?;
    let mut tokens = KVVec::with_capacity(TASKS, GFP_KERNEL)?;
    let mut cookies = KVVec::with_capacity(TASKS, GFP_KERNEL)?;
    let first = domain.0.begin(GFP_KERNEL)?;

    for _ in 0..TASKS {
        let token = domain.0.begin(GFP_KERNEL)?;

        cookies.push(token.cookie(), GFP_KERNEL)?;
        tokens.push(token, GFP_KERNEL)?;
    }
    let (ns, used) = Team::with(
        n,
        None,
        &|i| domain.synchronize(cookies[i % TASKS]),
        |team| {
            settle();
            let before = team.usage();
            let start = now();

            while let Some(token) = tokens.pop() {
                token.finish();
            }
            let ns = now() - start;
            team.settle();
            let used = team.usage().since(before);
            first.finish();
            (ns, used)
        },
    )?;
    report(sheet, ns, used)
}

fn report(sheet: &mut Sheet<'_>, ns: u64, used: Usage) -> Result {
    sheet.ns_per("ns_per_completion", ns, TASKS)?;
    sheet.count("switches", used.switches)?;
    sheet.ns("waiter_cpu_ns", used.cpu_ns)
}
