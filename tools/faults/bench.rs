// SPDX-License-Identifier: GPL-2.0

//! Runs one operation of the API, and sees to it that a failure costs nothing but another try.

use crate::{
    injection::Injection,
    ledger::{
        Ledger,
        Ticket, //
    },
};
use async_domain::{
    new_async_domain,
    AsyncDomain,
    Cookie,
    OwnedDomain,
    SubmitError,
    WaitMode, //
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
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// How often something is tried before it is called impossible. (At a rate of 50 %, what makes eight
/// allocations succeeds once in 256 times.)
const TRIES: usize = 100_000;

/// Failures that the callers of the API have been told of.
static REFUSALS: Atomic<i64> = Atomic::new(0);

pub(crate) fn refusals() -> i64 {
    REFUSALS.load(Relaxed)
}

/// A minute, which is long enough for everything.
pub(crate) fn patience() -> WaitMode {
    WaitMode::UNINTERRUPTIBLE.timeout(Delta::from_secs(60))
}

/// Waits until the condition is true; `false` if it was not after a minute.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..60_000 {
        if condition() {
            return true;
        }
        fsleep(Delta::from_millis(1));
    }
    false
}

/// Fails with `EIO`, and says what is wrong, unless the condition is true.
pub(crate) fn ensure(condition: bool, wrong: &str) -> Result {
    if condition {
        return Ok(());
    }
    pr_err!("{wrong}\n");
    Err(EIO)
}

/// Tries until there is memory.
pub(crate) fn insist<T>(mut f: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..TRIES {
        match f() {
            Err(e) if e == ENOMEM => REFUSALS.add(1, Relaxed),
            ret => return ret,
        }
    }
    Err(ENOMEM)
}

/// A domain, and what is injected into the operation that uses it.
pub(crate) struct Bench {
    pub(crate) domain: Arc<OwnedDomain>,
    pub(crate) injection: Injection,
}

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            domain: insist(|| {
                Ok(Arc::new(
                    new_async_domain!("faults", GFP_KERNEL)?,
                    GFP_KERNEL,
                )?)
            })?,
            injection: Injection::new(0),
        })
    }

    pub(crate) fn ledger(&self) -> Result<Arc<Ledger>> {
        insist(|| Ok(Arc::new(Ledger::new(), GFP_KERNEL)?))
    }

    /// Makes something, with faults, until there is memory.
    pub(crate) fn make<T>(&self, mut f: impl FnMut() -> Result<T>) -> Result<T> {
        insist(|| self.injection.here(&mut f))
    }

    /// Submits a task, with faults, until there is memory. What is given back is neither run nor dropped:
    /// it is submitted again.
    pub(crate) fn submit<T, C>(
        &self,
        ledger: &Ledger,
        mut task: T,
        submit: impl Fn(T) -> Result<C, SubmitError<T>>,
    ) -> Result<C> {
        let before = (ledger.alive(), ledger.ran());

        for _ in 0..TRIES {
            match self.injection.here(|| submit(task)) {
                Ok(accepted) => return Ok(accepted),
                Err(refused) => {
                    if refused.error != ENOMEM {
                        return Err(refused.error);
                    }
                    ensure(
                        (ledger.alive(), ledger.ran()) == before,
                        "a closure was run or dropped, and given back",
                    )?;
                    REFUSALS.add(1, Relaxed);
                    task = refused.task;
                }
            }
        }
        Err(ENOMEM)
    }

    /// Submits a task with one ticket, and waits for it.
    pub(crate) fn one<T>(
        &self,
        make: impl FnOnce(Ticket) -> T,
        submit: impl Fn(&AsyncDomain, T) -> Result<Cookie, SubmitError<T>>,
    ) -> Result {
        let ledger = self.ledger()?;
        let task = make(Ticket::new(&ledger));
        let cookie = self.submit(&ledger, task, |task| submit(&self.domain, task))?;

        self.domain.synchronize_with(patience(), ..=cookie)?;
        ledger.expect("one task", 1, 1)
    }

    /// Fails unless the domain has finished all that it accepted.
    pub(crate) fn expect_drained(&self) -> Result {
        self.domain.synchronize_with(patience(), ..)?;
        let stats = self.domain.stats();

        ensure(
            stats.submitted == stats.finished && self.domain.lowest_in_progress().is_none(),
            "the domain is not drained",
        )
    }
}
