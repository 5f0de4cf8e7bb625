// SPDX-License-Identifier: GPL-2.0

//! Domains come and go, with work in flight, and change their limits.

use crate::{
    body,
    model::Live,
    rng::Rng,
    stats::Kind,
    torturer::Torturer, //
};
use kernel::prelude::*;

/// Puts a new domain in the place of one, which ends when its last user has gone.
pub(super) fn replace(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let slot = rng.index(torturer.world.slots.len());
    let new = Live::new()?;
    limit_of(rng, &new);
    let old = core::mem::replace(&mut *torturer.world.slots[slot].lock(), new);

    Kind::Domain.count();
    if rng.one_in(2) {
        Kind::Close.count();
        old.model.begin_close();
        old.domain.close();
        old.model.end_close();
    }
    // See `cancel` for the first one.
    if slot != 0 && rng.one_in(4) {
        Kind::Cancel.count();
        body::cancelled(old.domain.cancel_all());
    }
    torturer.drop_domain(old);
    Ok(())
}

/// Changes the limit of a domain.
pub(super) fn limit(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);

    limit_of(rng, &live);
    torturer.drop_domain(live);
    Ok(())
}

fn limit_of(rng: &mut Rng, live: &Live) {
    Kind::Limit.count();
    // Few enough that there is no backlog.
    live.domain.set_limit([4, 16, 64, 128][rng.index(4)]);
}
