// SPDX-License-Identifier: GPL-2.0

//! How many operations of which kind there were. An operation is one call of the library's: one task
//! that is submitted, one token that is begun or finished, one wait, one event.

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

macro_rules! kinds {
    ($($kind:ident = $name:literal,)*) => {
        /// A kind of operation.
        #[derive(Clone, Copy)]
        pub(crate) enum Kind {
            $($kind,)*
        }

        const NAMES: &[&str] = &[$($name,)*];
    };
}

kinds! {
    Schedule = "schedule",
    Ordered = "schedule_ordered",
    OrRun = "schedule_or_run",
    Batch = "schedule_batch",
    Scope = "scope",
    Handle = "schedule_with_handle",
    Fallible = "schedule_result",
    Submit = "submit",
    Spawn = "spawn",
    Refused = "refused",
    Begin = "begin",
    Finish = "finish",
    FinishInIrq = "finish in a timer",
    Synchronize = "synchronize_below",
    Drain = "synchronize",
    Join = "join",
    Poll = "poll",
    Frontier = "lowest_in_progress",
    Cancel = "cancel",
    Domain = "domain made and dropped",
    Limit = "set_limit",
    Close = "close",
    Signal = "signal",
    Advance = "counter: advance",
    WaitFor = "counter: wait_for",
    Post = "ring: post",
    Take = "ring: wait",
    WakeUp = "table: wake_up",
    WaitKey = "table: wait_event",
    Lock = "table: wait_event_exclusive",
}

static COUNTS: [Atomic<u64>; NAMES.len()] = [const { Atomic::new(0) }; NAMES.len()];

impl Kind {
    pub(crate) fn count(self) {
        self.count_many(1);
    }

    pub(crate) fn count_many(self, nr: usize) {
        // CAST: `usize` is at most 64 bits wide.
        COUNTS[self as usize].add(nr as u64, Relaxed);
    }
}

/// All operations so far.
pub(crate) fn total() -> u64 {
    COUNTS.iter().map(|count| count.load(Relaxed)).sum()
}

/// One line in which all stands that changes, and on request one for each kind.
pub(crate) fn print(seconds: i64, verbose: bool) {
    pr_info!(
        "{} s: {} operations, {} checks, {} failed\n",
        seconds,
        total(),
        crate::check::checks(),
        crate::check::failures(),
    );
    if verbose {
        for (name, count) in NAMES.iter().zip(&COUNTS) {
            pr_info!("  {:>10} {}\n", count.load(Relaxed), name);
        }
    }
}
