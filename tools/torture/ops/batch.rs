// SPDX-License-Identifier: GPL-2.0

//! Batches: all or none, in the order of the vector.

use super::submit::Submission;
use crate::{
    body::{
        self,
        closure,
        Body,
        Plan,
        Ticket, //
    },
    check::check,
    rng::Rng,
    stats::Kind,
    torturer::Torturer, //
};
use async_domain::{
    Submit, //
    SubmitError,
};
use kernel::prelude::*;

pub(super) fn run(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);
    let nr = rng.range(1, 12);
    let (mut funcs, mut tickets) = (KVec::new(), KVec::new());

    // What is pushed here is counted as made, so that it must not be lost to a lack of memory.
    // CAST: A small number.
    funcs.reserve(nr as usize, GFP_KERNEL)?;
    for _ in 0..nr {
        tickets.push(Ticket::new()?, GFP_KERNEL)?;
    }
    for ticket in &tickets {
        let body = Body::new(&live, Some(ticket.clone()));
        funcs.push(closure(body, Plan::any(rng)), GFP_KERNEL)?;
    }

    let submission = Submission::new(&torturer.world, &live);
    Kind::Batch.count_many(funcs.len());
    match live.domain.schedule_batch(rng.flags(), funcs) {
        Ok(range) => {
            submission.accepted(range.start);
            if rng.one_in(2) {
                torturer.synchronize(rng, &live, range.end);
                if torturer.may_wait() {
                    in_order(&tickets, range.start.as_u64(), range.end.as_u64());
                }
            }
        }
        Err(SubmitError { error, task }) => {
            submission.refused(error);
            check!(
                task.len() == tickets.len(),
                "of a batch of {} only {} were given back",
                tickets.len(),
                task.len()
            );
            body::given_back(task.len());
            drop(task);
            for ticket in tickets {
                ticket.never_ran("a batch was given back");
            }
        }
    }
    torturer.drop_domain(live);
    Ok(())
}

/// Checks that those that were not cancelled had cookies of the range, in the order of the vector.
fn in_order(tickets: &[kernel::sync::Arc<Ticket>], start: u64, end: u64) {
    let mut last = start;

    for ticket in tickets {
        let own = ticket.cookie();
        if own != 0 {
            check!(
                last <= own && own < end,
                "a task of the batch {start}..{end} has cookie {own}, after {last}"
            );
            last = own;
        }
    }
}
