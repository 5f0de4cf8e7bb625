// SPDX-License-Identifier: GPL-2.0

//! Waits for a number of events: `EventCounter`.

use crate::{
    events::Watched,
    how::{
        Began,
        How, //
    },
    post::Waiting, //
    rng::Rng,
    stats::Kind,
    torturer::Torturer,
};
use kernel::prelude::*;

pub(super) fn run(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let state = torturer.world.events.state.clone();

    for _ in 0..rng.range(2, 12) {
        state.advance(u64::from(rng.below(3)));
    }
    if rng.one_in(6) {
        let value = state.counter.read() + u64::from(rng.below(20));
        let how = How::any(rng, &torturer.world.parameters);
        let began = Began::now();

        Kind::WaitFor.count();
        let ret = torturer
            .post()
            .watched(Waiting::Event(Watched::Count(value)), || {
                state.counter.wait_for(value, how.mode)
            });
        if how.judge(ret, began, "wait_for") {
            state.has_reached(value);
        }
    }
    Ok(())
}
