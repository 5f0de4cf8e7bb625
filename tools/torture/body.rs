// SPDX-License-Identifier: GPL-2.0

//! What every closure owns: by it one sees that each is run or dropped exactly once.

use crate::{
    check::check,
    model::{
        Live,
        Place,
        PlaceKey,
        Stage, //
    },
    rng::Rng,
};
use async_domain::{
    Cookie, //
    TaskContext,
};
use kernel::{
    prelude::*,
    processor::cpu_relax,
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
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// The books: of all that was made, each was run, given back or cancelled.
struct Ledger {
    made: Atomic<u64>,
    run: Atomic<u64>,
    given_back: Atomic<u64>,
    cancelled: Atomic<u64>,
}

static LEDGER: Ledger = Ledger {
    made: Atomic::new(0),
    run: Atomic::new(0),
    given_back: Atomic::new(0),
    cancelled: Atomic::new(0),
};

/// Something was submitted that has no [`Body`].
pub(crate) fn made() {
    LEDGER.made.add(1, Relaxed);
}

/// It was run.
pub(crate) fn run() {
    LEDGER.run.add(1, Relaxed);
}

/// So many were given back.
pub(crate) fn given_back(nr: usize) {
    // CAST: `usize` is at most 64 bits wide.
    LEDGER.given_back.add(nr as u64, Relaxed);
}

/// So many were cancelled.
pub(crate) fn cancelled(nr: usize) {
    // CAST: As above.
    LEDGER.cancelled.add(nr as u64, Relaxed);
}

/// Balances the books, when nothing is in progress.
pub(crate) fn balance() {
    let made = LEDGER.made.load(Acquire);
    let run = LEDGER.run.load(Acquire);
    let given_back = LEDGER.given_back.load(Acquire);
    let cancelled = LEDGER.cancelled.load(Acquire);

    check!(
        made == run + given_back + cancelled,
        "of {made} closures and items {run} were run, {given_back} given back and {cancelled} \
         cancelled"
    );
}

/// What became of one closure, for who submitted it.
pub(crate) struct Ticket {
    runs: Atomic<u64>,
    drops: Atomic<u64>,
    cookie: Atomic<u64>,
}

impl Ticket {
    pub(crate) fn new() -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                runs: Atomic::new(0),
                drops: Atomic::new(0),
                cookie: Atomic::new(0),
            },
            GFP_KERNEL,
        )?)
    }

    /// The task is done: checks that it has gone, was run at most once, and had this cookie. Returns
    /// whether it was run.
    pub(crate) fn settled(&self, cookie: Cookie, what: &str) -> bool {
        let (runs, drops) = (self.runs.load(Acquire), self.drops.load(Acquire));
        let own = self.cookie.load(Acquire);

        check!(
            drops == 1 && runs <= 1,
            "{what} {cookie} is done, but was run {runs} times and dropped {drops} times"
        );
        check!(
            runs == 0 || own == 0 || own == cookie.as_u64(),
            "{what} {cookie} had cookie {own} when it ran"
        );
        runs == 1
    }

    /// Checks that the closure has gone, and never ran.
    pub(crate) fn never_ran(&self, what: &str) {
        let (runs, drops) = (self.runs.load(Acquire), self.drops.load(Acquire));

        check!(
            runs == 0 && drops == 1,
            "{what}, but was run {runs} times and dropped {drops} times"
        );
    }

    pub(crate) fn cookie(&self) -> u64 {
        self.cookie.load(Acquire)
    }
}

/// What a closure owns.
pub(crate) struct Body {
    place: Place,
    ticket: Option<Arc<Ticket>>,
    /// Whether it counts in the ledger.
    counts: bool,
}

impl Body {
    pub(crate) fn new(live: &Live, ticket: Option<Arc<Ticket>>) -> Self {
        made();
        Self {
            place: Place::take(&live.model, Stage::Submitted),
            ticket,
            counts: true,
        }
    }

    /// For what may be cancelled although it has begun, and only its own submitter cancels.
    pub(crate) fn uncounted(live: &Live, ticket: Option<Arc<Ticket>>) -> Self {
        Self {
            place: Place::take(&live.model, Stage::Submitted),
            ticket,
            counts: false,
        }
    }

    pub(crate) fn key(&self) -> PlaceKey {
        self.place.key()
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// It runs, for the first time.
    pub(crate) fn begin(&self, cookie: Option<Cookie>) {
        if self.counts {
            run();
        }
        self.place.stage(Stage::Running);
        if let Some(cookie) = cookie {
            self.place.has_cookie(cookie);
        }
        if let Some(ticket) = &self.ticket {
            if let Some(cookie) = cookie {
                ticket.cookie.store(cookie.as_u64(), Release);
            }
            let runs = ticket.runs.fetch_add(1, Full);
            check!(runs == 0, "a closure was run {} times", runs + 1);
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            let drops = ticket.drops.fetch_add(1, Full);
            check!(drops == 0, "a closure was dropped {} times", drops + 1);
        }
    }
}

/// What a task does.
#[derive(Clone, Copy)]
pub(crate) enum Plan {
    /// Nothing.
    Return,
    /// Keeps its CPU.
    Spin(u32),
    /// Sleeps, for so many microseconds.
    Sleep(u32),
    /// Waits for all before it, and is seen.
    InOrder(u32),
}

impl Plan {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        match rng.below(32) {
            0..16 => Self::Return,
            16..24 => Self::Spin(rng.below(500)),
            24..26 => Self::Sleep(rng.range(20, 400)),
            _ => Self::InOrder(rng.below(200)),
        }
    }

    pub(crate) fn carry_out(self, body: &Body, context: &TaskContext<'_>) {
        match self {
            Self::Return => (),
            Self::Spin(times) => spin(times),
            Self::Sleep(micros) => sleep(micros),
            Self::InOrder(times) if !body.place.model().worker_may_wait() => spin(times),
            Self::InOrder(times) => {
                let (place, cookie) = (&body.place, context.cookie());

                place.stage(Stage::Synchronizing);
                let ret = context.synchronize();
                check!(
                    ret == Ok(()),
                    "domain {}: task {cookie} cannot wait for all before it: {ret:?}",
                    place.model().number
                );
                place.stage(Stage::InOrder);
                place.model().all_below(cookie, "TaskContext::synchronize");
                place.model().in_order(cookie, || spin(times));
            }
        }
    }
}

/// The closure of a task.
pub(crate) fn closure(body: Body, plan: Plan) -> impl FnOnce(&TaskContext<'_>) + Send + 'static {
    move |context| {
        body.begin(Some(context.cookie()));
        plan.carry_out(&body, context);
    }
}

pub(crate) fn spin(times: u32) {
    for _ in 0..times {
        cpu_relax();
    }
}

pub(crate) fn sleep(micros: u32) {
    fsleep(Delta::from_micros(i64::from(micros)));
}
