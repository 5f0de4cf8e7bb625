// SPDX-License-Identifier: GPL-2.0

//! What becomes of each closure: it is run and dropped once, whatever fails.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    },
};

/// Counts tickets.
pub(crate) struct Ledger {
    made: Atomic<i32>,
    ran: Atomic<i32>,
    dropped: Atomic<i32>,
}

/// A closure owns one.
pub(crate) struct Ticket(Arc<Ledger>);

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            made: Atomic::new(0),
            ran: Atomic::new(0),
            dropped: Atomic::new(0),
        }
    }

    /// Tickets that are not dropped.
    pub(crate) fn alive(&self) -> i32 {
        self.made.load(Relaxed) - self.dropped.load(Relaxed)
    }

    pub(crate) fn made(&self) -> i32 {
        self.made.load(Relaxed)
    }

    pub(crate) fn ran(&self) -> i32 {
        self.ran.load(Relaxed)
    }

    /// Fails unless `made` tickets were made and dropped, and `ran` of them run.
    pub(crate) fn expect(&self, what: &str, made: i32, ran: i32) -> Result {
        let counts = [&self.made, &self.dropped, &self.ran].map(|count| count.load(Relaxed));

        if counts == [made, made, ran] {
            return Ok(());
        }
        let [is_made, is_dropped, is_ran] = counts;
        pr_err!(
            "{what}: {is_made} closures made, {is_dropped} dropped, {is_ran} run; \
             expected {made}, {made}, {ran}\n"
        );
        Err(EIO)
    }
}

impl Ticket {
    pub(crate) fn new(ledger: &Arc<Ledger>) -> Self {
        ledger.made.add(1, Relaxed);
        Self(ledger.clone())
    }

    /// The closure is run.
    pub(crate) fn run(&self) {
        self.0.ran.add(1, Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.dropped.add(1, Relaxed);
    }
}
