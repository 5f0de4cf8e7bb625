// SPDX-License-Identifier: GPL-2.0

//! Workload e: `n` domains, with waiters in each, and activity in one.
//!
//! In every domain a task stays to the end, and four threads wait for it. In the first domain, 256
//! tasks are submitted, run and end, which moves no frontier. The metric `ns_per_task` is the time
//! for each of them, as in workload c. Everything else is to be 0: what the waiters used meanwhile
//! (`switches`, `waiter_cpu_ns`), and, as the domains themselves count it, waiters that were woken
//! (`wakeups`), looked at (`skipped`) or woken spuriously (`spurious`).

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
    team::Team,
    time::{
        now,
        settle, //
    },
};
use kernel::prelude::*;

/// Waiters in each domain.
const WAITERS: usize = 4;
/// Tasks in the first one.
const TASKS: usize = 256;

pub(crate) fn run(params: &Params, results: &mut Results) -> Result {
    for n in params.domains.iter().map(|&n| n as usize) {
        let case = |side| Case { side, n };

        results.measure(params, case("kernel"), |sheet| {
            activity(&forms(n, Kernel::new)?, sheet, |_, _| Ok(()))
        })?;
        results.measure(params, case("domain"), |sheet| {
            activity(&forms(n, Domain::new)?, sheet, counts)
        })?;
    }
    Ok(())
}

fn forms<F>(n: usize, new: impl Fn() -> Result<F>) -> Result<KVVec<F>> {
    let mut forms = KVVec::with_capacity(n, GFP_KERNEL)?;

    for _ in 0..n {
        forms.push(new()?, GFP_KERNEL)?;
    }
    Ok(forms)
}

/// What the domains have counted. Nobody has been let go yet.
fn counts(domains: &[Domain], sheet: &mut Sheet<'_>) -> Result {
    let stats = || domains.iter().map(|domain| domain.0.stats());

    sheet.count("wakeups", stats().map(|s| s.wakeups).sum())?;
    sheet.count("skipped", stats().map(|s| s.skipped).sum())?;
    sheet.count("spurious", stats().map(|s| s.spurious).sum())
}

fn activity<F: Form>(
    forms: &[F],
    sheet: &mut Sheet<'_>,
    counts: impl FnOnce(&[F], &mut Sheet<'_>) -> Result,
) -> Result {
    let countdown = Countdown::new(TASKS)?;
    let mut stay = KVVec::with_capacity(forms.len(), GFP_KERNEL)?;

    for form in forms {
        stay.push(Gated::new(form, 1)?, GFP_KERNEL)?;
    }
    Team::with(
        forms.len() * WAITERS,
        None,
        &|i| stay[i % forms.len()].synchronize(0),
        |team| {
            settle();
            let before = team.usage();
            let start = now();

            let ret = (0..TASKS).try_for_each(|_| {
                // SAFETY: When the team is gone, `stay` is dropped, which waits for all tasks, before
                // the countdown is.
                unsafe { forms[0].schedule(&*countdown) }.map(|_| ())
            });
            let ns = ret.map(|()| countdown.end() - start);
            team.settle();
            let used = team.usage().since(before);
            let counted = counts(forms, sheet);

            for task in &stay {
                task.open(0);
            }
            counted?;
            sheet.ns_per("ns_per_task", ns?, TASKS)?;
            sheet.count("switches", used.switches)?;
            sheet.ns("waiter_cpu_ns", used.cpu_ns)
        },
    )?
}
