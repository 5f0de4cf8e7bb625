// SPDX-License-Identifier: GPL-2.0

//! The plain model that is kept beside each domain: what is in progress, and what was seen last.
//!
//! It has no lock and no order of its own. A task takes a *place* before it is submitted, and gives it
//! back as the last thing that it does, so that a place is never free while its task is unfinished.
//! Whoever is told that all tasks below a cookie are done looks for a lower cookie in any place: there
//! must be none.

use crate::check::{
    check,
    failed,
    made, //
};
use async_domain::{
    new_async_domain,
    Cookie,
    OwnedDomain, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Full,
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        Arc, //
    },
};

/// How many tasks of a domain are watched at the same time. Others run, and count, without.
const PLACES: usize = 128;

/// A place is free, or its task has no cookie yet and this bit is set, or it has that cookie.
const FREE: u64 = 0;
const RESERVED: u64 = 1 << 63;

/// What a task is doing, for the watchdog's report.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    Submitted,
    Running,
    Synchronizing,
    InOrder,
    InFlight,
}

const STAGES: [&str; 5] = [
    "has not started",
    "runs",
    "waits for all before it",
    "is in its turn",
    "is a token",
];

static NEXT_RESERVATION: Atomic<u64> = Atomic::new(0);
static NEXT_DOMAIN: Atomic<u64> = Atomic::new(1);

/// The model of a domain.
pub(crate) struct Model {
    /// A number by which reports name the domain.
    pub(crate) number: u64,
    places: [Atomic<u64>; PLACES],
    stages: [Atomic<u32>; PLACES],
    /// The last cookie whose visible part began, and whether it goes on.
    visible: Atomic<u64>,
    is_visible: Atomic<bool>,
    /// The highest frontier that anybody has seen.
    frontier: Atomic<u64>,
    /// Closures and tokens that exist.
    alive: Atomic<i64>,
    /// How often a worker has waited. The kernel's workqueues wake a worker after they have given up
    /// their lock, when it may have gone on to wait for something else: once for each item, at most.
    worker_waits: Atomic<u64>,
    closing: Atomic<bool>,
    closed: Atomic<bool>,
}

impl Model {
    fn new() -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                number: NEXT_DOMAIN.fetch_add(1, Relaxed),
                places: [const { Atomic::new(FREE) }; PLACES],
                stages: [const { Atomic::new(0) }; PLACES],
                visible: Atomic::new(0),
                is_visible: Atomic::new(false),
                frontier: Atomic::new(0),
                alive: Atomic::new(0),
                worker_waits: Atomic::new(0),
                closing: Atomic::new(false),
                closed: Atomic::new(false),
            },
            GFP_KERNEL,
        )?)
    }

    /// Checks that no task below a cookie is in progress.
    pub(crate) fn all_below(&self, cookie: Cookie, says: &str) {
        let cookie = cookie.as_u64();

        made();
        for (place, stage) in self.places.iter().zip(&self.stages) {
            let other = place.load(Acquire);
            if other != FREE && other < cookie {
                failed!(
                    "domain {}: {says} says that all below {cookie} are done, but {other} {}",
                    self.number,
                    stage_name(stage)
                );
            }
        }
    }

    /// Runs the part of a task that must happen in cookie order, alone.
    pub(crate) fn in_order(&self, cookie: Cookie, part: impl FnOnce()) {
        let cookie = cookie.as_u64();
        let overlaps = self.is_visible.xchg(true, Full);
        let last = self.visible.xchg(cookie, Full);

        check!(
            !overlaps,
            "domain {}: the part of {cookie} that happens in order overlaps that of {last}",
            self.number
        );
        check!(
            last < cookie,
            "domain {}: {cookie} happens after {last}",
            self.number
        );
        part();
        self.is_visible.store(false, Release);
    }

    /// Checks that the frontier has not gone back.
    pub(crate) fn saw_frontier(&self, before: u64, now: u64) {
        check!(
            now >= before,
            "domain {}: the frontier has gone back from {before} to {now}",
            self.number
        );
        let mut seen = before;
        while seen < now {
            match self.frontier.cmpxchg(seen, now, Full) {
                Ok(_) => break,
                Err(other) => seen = other,
            }
        }
    }

    /// The highest frontier seen so far.
    pub(crate) fn frontier(&self) -> u64 {
        self.frontier.load(Acquire)
    }

    /// A worker is about to wait; `false` if workers do not wait for this domain, so that nobody is
    /// woken spuriously.
    pub(crate) fn worker_may_wait(&self) -> bool {
        let may = self.number % 2 == 0;
        if may {
            self.worker_waits.fetch_add(1, Release);
        }
        may
    }

    pub(crate) fn begin_close(&self) {
        self.closing.store(true, Release);
    }

    pub(crate) fn end_close(&self) {
        self.closed.store(true, Release);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Acquire)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }

    /// Checks that nothing is left of any task.
    pub(crate) fn all_gone(&self, when: &str) {
        let alive = self.alive.load(Acquire);
        let taken = self
            .places
            .iter()
            .filter(|place| place.load(Acquire) != FREE);
        let taken = taken.count();

        check!(
            alive == 0 && taken == 0,
            "domain {}: {alive} closures, items and tokens exist {when}, {taken} of them in progress",
            self.number
        );
        if taken > 0 {
            self.print();
        }
    }

    /// Prints what is in progress, the lowest cookies first.
    pub(crate) fn print(&self) {
        let mut printed = 0;

        for _ in 0..8 {
            let next = self
                .places
                .iter()
                .zip(&self.stages)
                .map(|(place, stage)| (place.load(Acquire), stage))
                .filter(|(cookie, _)| *cookie > printed && *cookie < RESERVED)
                .min_by_key(|(cookie, _)| *cookie);
            let Some((cookie, stage)) = next else {
                break;
            };
            pr_err!("  in progress: {} {}\n", cookie, stage_name(stage));
            printed = cookie;
        }
        pr_err!("  {} exist\n", self.alive.load(Relaxed));
    }
}

fn stage_name(stage: &Atomic<u32>) -> &'static str {
    // CAST: A small number.
    STAGES
        .get(stage.load(Relaxed) as usize)
        .copied()
        .unwrap_or("?")
}

/// The place of one task in the model of its domain.
pub(crate) struct Place {
    model: Arc<Model>,
    index: Option<usize>,
    reserved: u64,
}

/// Names a place to whoever submits its task, who learns the cookie later than the task perhaps.
#[derive(Clone, Copy)]
pub(crate) struct PlaceKey {
    index: Option<usize>,
    reserved: u64,
}

impl Place {
    /// Takes a place, if there is one.
    pub(crate) fn take(model: &Arc<Model>, stage: Stage) -> Self {
        let number = NEXT_RESERVATION.fetch_add(1, Relaxed);
        let reserved = RESERVED | number;
        // CAST: The remainder is small.
        let first = (number % PLACES as u64) as usize;
        let index = (0..PLACES)
            .map(|i| (first + i) % PLACES)
            .find(|i| model.places[*i].cmpxchg(FREE, reserved, Full).is_ok());

        model.alive.add(1, Relaxed);
        let place = Self {
            model: model.clone(),
            index,
            reserved,
        };
        place.stage(stage);
        place
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    pub(crate) fn key(&self) -> PlaceKey {
        PlaceKey {
            index: self.index,
            reserved: self.reserved,
        }
    }

    pub(crate) fn stage(&self, stage: Stage) {
        if let Some(i) = self.index {
            // CAST: A small number.
            self.model.stages[i].store(stage as u32, Relaxed);
        }
    }

    /// The task has learnt its own cookie, which must be the one that the submitter was told.
    pub(crate) fn has_cookie(&self, cookie: Cookie) {
        let cookie = cookie.as_u64();
        let Some(i) = self.index else { return };

        if let Err(other) = self.model.places[i].cmpxchg(self.reserved, cookie, Full) {
            check!(
                other == cookie,
                "domain {}: a task has cookie {cookie}, the submitter was told {other}",
                self.model.number
            );
        }
    }
}

impl PlaceKey {
    /// The submitter has learnt the cookie. The task may have ended, and the place be another's.
    pub(crate) fn has_cookie(self, model: &Model, cookie: Cookie) {
        if let Some(i) = self.index {
            let _ = model.places[i].cmpxchg(self.reserved, cookie.as_u64(), Full);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(i) = self.index {
            let last = self.model.places[i].xchg(FREE, Full);
            if last == FREE || (last >= RESERVED && last != self.reserved) {
                failed!(
                    "domain {}: what a task owned was dropped twice ({last:#x}, {:#x})",
                    self.model.number,
                    self.reserved
                );
            }
        }
        self.model.alive.fetch_sub(1, Release);
    }
}

/// A domain and its model.
pub(crate) struct Live {
    pub(crate) domain: OwnedDomain,
    pub(crate) model: Arc<Model>,
    // Dropped last, after the domain, which waits for its tasks.
    _end: End,
}

/// Checks what is left when the domain is gone.
struct End(Arc<Model>);

impl Live {
    pub(crate) fn new() -> Result<Arc<Self>> {
        let model = Model::new()?;
        let end = End(model.clone());

        let live = Self {
            domain: new_async_domain!("torture", GFP_KERNEL)?,
            model,
            _end: end,
        };

        Ok(Arc::new(live, GFP_KERNEL)?)
    }

    /// Looks at the frontier.
    pub(crate) fn look(&self) -> Option<Cookie> {
        let before = self.model.frontier();
        let lowest = self.domain.lowest_in_progress();

        if let Some(lowest) = lowest {
            self.model.saw_frontier(before, lowest.as_u64());
        }
        lowest
    }

    /// Checks what the domain says of itself when nobody uses it.
    pub(crate) fn is_idle(&self) {
        let stats = self.domain.stats();

        check!(
            self.domain.lowest_in_progress().is_none() && stats.submitted == stats.finished,
            "domain {} is drained, but has {:?} in progress, and {stats:?}",
            self.model.number,
            self.domain.lowest_in_progress()
        );
        self.nothing_spurious();
        self.model.all_gone("although it is drained");
    }

    fn nothing_spurious(&self) {
        let stats = self.domain.stats();

        let worker_waits = self.model.worker_waits.load(Acquire);
        check!(
            stats.spurious <= worker_waits && stats.wakeups <= stats.waits,
            "domain {}: spurious wakeups, or wakeups without waits: {stats:?}, {worker_waits} waits of workers",
            self.model.number
        );
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.nothing_spurious();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.all_gone("although it was dropped");
    }
}
