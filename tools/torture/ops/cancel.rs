// SPDX-License-Identifier: GPL-2.0

//! Cancelling: what was taken back never runs, and is gone.

use super::submit;
use crate::{
    body::{
        self,
        Ticket, //
    },
    check::check,
    rng::Rng,
    stats::Kind,
    torturer::Torturer, //
};
use async_domain::Cancelled;
use kernel::prelude::*;

/// Cancels tasks of the thread's own.
pub(super) fn one(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);
    let mut tasks = KVec::new();

    for _ in 0..rng.range(1, 6) {
        let ticket = Ticket::new()?;
        if let (Some(cookie), _) = submit::any(torturer, rng, &live, Some(ticket.clone())) {
            tasks.push((cookie, ticket), GFP_KERNEL)?;
        }
    }
    rng.shuffle(&mut tasks);
    for (cookie, ticket) in &tasks {
        Kind::Cancel.count();
        if live.domain.cancel(*cookie) == Cancelled::Dropped {
            body::cancelled(1);
            ticket.never_ran("a task was cancelled");
            check!(
                live.domain.cancel(*cookie) == Cancelled::NotFound,
                "domain {}: {cookie} was cancelled twice",
                live.model.number
            );
        }
    }
    torturer.drop_domain(live);
    Ok(())
}

/// Cancels all tasks of a domain, whosever they are.
pub(super) fn all(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    // Not of the first one, whose futures may be dropped after they have begun: only who has spawned
    // one can tell what that did to it.
    let live = torturer
        .world
        .live(1 + rng.index(torturer.world.slots.len() - 1));

    Kind::Cancel.count();
    body::cancelled(live.domain.cancel_all());
    torturer.drop_domain(live);
    Ok(())
}
