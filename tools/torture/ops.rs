// SPDX-License-Identifier: GPL-2.0

//! The operations, by family, and how one is chosen.
//!
//! An operation is a short story with an end at which everything that it can know is checked. It may
//! leave tasks and tokens behind that end by themselves. While it has a token or runs a task, it waits
//! for lower cookies only: so there is no circle of waits, as cookies are in one order over all domains.

mod batch;
mod cancel;
mod counter;
mod exact;
mod future;
mod item;
mod keyed;
mod lifecycle;
mod private;
mod result;
mod ring;
mod scope;
mod signal;
mod submit;
mod token;
mod wait;

use crate::{
    post,
    rng::Rng,
    torturer::Torturer, //
};
use kernel::prelude::*;

struct Operation {
    name: &'static str,
    /// How often it is chosen.
    weight: u32,
    run: fn(&mut Torturer, &mut Rng) -> Result,
}

const fn operation(
    name: &'static str,
    weight: u32,
    run: fn(&mut Torturer, &mut Rng) -> Result,
) -> Operation {
    Operation { name, weight, run }
}

/// Bit n of the parameter `operations` lets the nth of these be chosen.
const OPERATIONS: &[Operation] = &[
    operation("tokens", 30, token::pairs),
    operation("tokens finished by a timer", 6, token::timer),
    operation("tokens finished by a task", 2, token::task),
    operation("submit", 8, submit::forget),
    operation("submit and check", 4, submit::check),
    operation("schedule_batch", 3, batch::run),
    operation("submit an item", 4, item::boxed),
    operation("submit a shared item", 2, item::again),
    operation("scope", 2, scope::run),
    operation("handle", 3, result::handle),
    operation("schedule_result", 1, result::fallible),
    operation("spawn", 3, future::spawn),
    operation("poll a wait", 6, future::poll),
    operation("synchronize", 6, wait::synchronize),
    operation("frontier", 6, wait::frontier),
    operation("cancel", 3, cancel::one),
    operation("cancel_all", 1, cancel::all),
    operation("replace a domain", 1, lifecycle::replace),
    operation("set_limit", 1, lifecycle::limit),
    operation("limit and close", 1, private::limit_and_close),
    operation("counter", 24, counter::run),
    operation("ring", 24, ring::run),
    operation("table", 16, keyed::versions),
    operation("locks", 8, keyed::lock),
    operation("exactly what comes", 4, exact::run),
    operation("signal", 3, signal::send),
];

pub(crate) fn name(operation: usize) -> &'static str {
    match OPERATIONS.get(operation) {
        Some(operation) => operation.name,
        None if operation == post::BALANCE => "balance",
        None => "none",
    }
}

/// Runs an operation. One for which there is no memory ends early.
pub(crate) fn run(operation: usize, torturer: &mut Torturer, rng: &mut Rng) {
    let _ = (OPERATIONS[operation].run)(torturer, rng);
}

/// Chooses among those of a mask.
pub(crate) struct Choice {
    mask: u32,
    total: u32,
}

impl Choice {
    pub(crate) fn new(mask: u32) -> Self {
        let all = (1 << OPERATIONS.len()) - 1;
        let mask = if mask & all == 0 { all } else { mask & all };
        let total = weights(mask).map(|(_, weight)| weight).sum();

        Self { mask, total }
    }

    pub(crate) fn next(&self, rng: &mut Rng) -> usize {
        let mut left = rng.below(self.total);

        for (i, weight) in weights(self.mask) {
            if left < weight {
                return i;
            }
            left -= weight;
        }
        0
    }
}

fn weights(mask: u32) -> impl Iterator<Item = (usize, u32)> {
    OPERATIONS
        .iter()
        .map(|operation| operation.weight)
        .enumerate()
        .filter(move |(i, _)| mask & (1 << i) != 0)
}
