// SPDX-License-Identifier: GPL-2.0

//! Workload h: a consumer that needs `n` events at a time.
//!
//! 1024 events come, one at a time: the next one when the consumer sleeps again. The metric `wakeups`
//! says how often it was switched away from, which it is once for each time that it was woken.
//!
//! The sides: `ring` takes events out of a `CompletionRing`, `counter` waits for an `EventCounter` to
//! reach a value, and `wake_all` is a wait queue that is woken by each event.

use crate::{
    ffi,
    params::Params,
    results::{
        Case,
        Results,
        Sheet, //
    },
    team::Team,
    time::settle,
};
use async_domain::{
    new_completion_ring,
    new_event_counter,
    threshold::{
        CompletionRing,
        EventCounter, //
    },
    WaitMode, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// How many events are needed at a time.
const MIN_NR: [usize; 3] = [1, 8, 64];
const EVENTS: usize = 1024;

pub(crate) fn run(params: &Params, results: &mut Results) -> Result {
    for n in MIN_NR {
        let case = |side| Case { side, n };

        results.measure_cold(params, case("ring"), |sheet| {
            let ring = KBox::pin_init(new_completion_ring!(EVENTS, GFP_KERNEL), GFP_KERNEL)?;
            one_by_one::<CompletionRing<u64>>(&ring, n, sheet)
        })?;
        results.measure_cold(params, case("counter"), |sheet| {
            let counter = KBox::pin_init(new_event_counter!(), GFP_KERNEL)?;
            one_by_one::<EventCounter>(&counter, n, sheet)
        })?;
        results.measure_cold(params, case("wake_all"), |sheet| {
            one_by_one(&WakeAll::new()?, n, sheet)
        })?;
    }
    Ok(())
}

/// Where events come, and are waited for.
trait Events: Sync {
    fn post(&self);

    /// Waits for the next `n` events, of which the last one will be the `target`th.
    fn wait(&self, n: usize, target: u64);
}

fn one_by_one<E: Events>(events: &E, n: usize, sheet: &mut Sheet<'_>) -> Result {
    let consumer = || {
        for i in 1..=EVENTS / n {
            // CAST: It is at most `EVENTS`.
            events.wait(n, (i * n) as u64);
        }
    };
    let used = Team::with(1, None, &|_| consumer(), |team| {
        settle();
        let before = team.usage();

        for _ in 0..EVENTS {
            events.post();
            team.settle();
        }
        team.usage().since(before)
    })?;

    sheet.count("wakeups", used.switches)?;
    sheet.ns("waiter_cpu_ns", used.cpu_ns)
}

impl Events for CompletionRing<u64> {
    fn post(&self) {
        // There is room for all events.
        let _ = CompletionRing::post(self, 0);
    }

    fn wait(&self, n: usize, _target: u64) {
        let mut buffer = [0; 64];

        // An uninterruptible wait without a time limit does not fail.
        let _ = CompletionRing::wait(self, &mut buffer[..n], n, WaitMode::UNINTERRUPTIBLE);
    }
}

impl Events for EventCounter {
    fn post(&self) {
        self.advance(1);
    }

    fn wait(&self, _n: usize, target: u64) {
        let Ok(()) = self.wait_for(target, WaitMode::UNINTERRUPTIBLE);
    }
}

/// See `events.c`.
struct WakeAll(NonNull<ffi::bench_events>);

// SAFETY: The count is atomic, and the queue has a lock.
unsafe impl Sync for WakeAll {}

impl WakeAll {
    fn new() -> Result<Self> {
        // SAFETY: It may always be called.
        let events = NonNull::new(unsafe { ffi::bench_events_create() });

        Ok(Self(events.ok_or(ENOMEM)?))
    }
}

impl Events for WakeAll {
    fn post(&self) {
        // SAFETY: The events are valid.
        unsafe { ffi::bench_events_post(self.0.as_ptr()) };
    }

    fn wait(&self, _n: usize, target: u64) {
        // SAFETY: As above.
        unsafe { ffi::bench_events_wait(self.0.as_ptr(), target) };
    }
}

impl Drop for WakeAll {
    fn drop(&mut self) {
        // SAFETY: They were created by `new`, and nobody waits, who would borrow them.
        unsafe { ffi::bench_events_destroy(self.0.as_ptr()) };
    }
}
