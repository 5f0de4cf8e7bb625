// SPDX-License-Identifier: GPL-2.0

//! Waits for what others have submitted.

use crate::{check::check, how::How, rng::Rng, stats::Kind, torturer::Torturer};
use async_domain::Cookie;
use kernel::prelude::*;

/// Waits for what there is now, or for a moment for all.
pub(super) fn synchronize(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);
    let how = How::any(rng, &torturer.world.parameters);

    match rng.below(4) {
        // What comes in the meantime is waited for too, and might never end.
        0 => {
            torturer.drain(&live, How::brief(rng));
        }
        // Somewhere among those that wait.
        1 => {
            if let Some(lowest) = live.look() {
                torturer.wait_below(&live, lowest.next(), how);
            }
        }
        _ => {
            torturer.wait_below(&live, Cookie::now(), how);
        }
    }
    torturer.drop_domain(live);
    Ok(())
}

/// Looks at the frontier of every domain, and at a cookie that does not exist yet.
pub(super) fn frontier(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    for slot in 0..torturer.world.slots.len() {
        let live = torturer.world.live(slot);

        Kind::Frontier.count();
        live.look();
        torturer.drop_domain(live);
    }

    let live = torturer.live(rng);
    let before = live.domain.stats();
    let after = live.domain.stats();
    check!(
        before.submitted <= after.submitted
            && before.finished <= after.finished
            && before.finished <= before.submitted,
        "domain {}: the counts go back: {before:?}, {after:?}",
        live.model.number
    );
    torturer.drop_domain(live);
    Ok(())
}
