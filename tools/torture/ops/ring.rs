// SPDX-License-Identifier: GPL-2.0

//! Events that each go to one consumer, in order: `CompletionRing`.

use crate::{
    check::check,
    events::{
        event,
        Watched, //
    },
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

const MAX: usize = 8;

pub(super) fn run(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let state = torturer.world.events.state.clone();
    // The first producer is the timer.
    let producer = torturer.index + 1;

    for _ in 0..rng.range(1, 8) {
        if state.post(event(producer, torturer.next_event)) {
            torturer.next_event += 1;
        }
    }
    // As many as are posted, on the average.
    take(torturer, rng, 0);
    if rng.one_in(4) {
        let min_nr = rng.range(1, 4);
        take(torturer, rng, min_nr as usize);
    }
    Ok(())
}

/// Takes events, at least so many.
fn take(torturer: &mut Torturer, rng: &mut Rng, min_nr: usize) {
    let state = torturer.world.events.state.clone();
    let mut events = [0; MAX];
    // Who wants more than one may be passed over for as long as others take what comes.
    let how = if min_nr > 1 {
        How::brief(rng)
    } else {
        How::any(rng, &torturer.world.parameters)
    };
    let began = Began::now();

    Kind::Take.count();
    let ret = torturer
        .post()
        .watched(Waiting::Event(Watched::Events(min_nr.max(1))), || {
            state.ring.wait(&mut events, min_nr, how.mode)
        });
    let nr = match ret {
        Ok(nr) => nr,
        Err(e) => {
            how.judge(Err(e), began, "a wait for events");
            return;
        }
    };
    check!(
        nr <= MAX && (nr >= min_nr || (nr > 0 && how.may_end())),
        "a wait for {min_nr} to {MAX} events has given {nr} ({how:?})"
    );
    for event in &events[..nr] {
        // CAST: Its upper bits are a small number.
        let (producer, sequence) = ((event >> 48) as usize, event & ((1 << 48) - 1));

        state.taken.enter(*event);
        match torturer.last_events.get_mut(producer) {
            Some(place) => {
                let last = core::mem::replace(place, sequence);
                check!(
                    sequence > last,
                    "event {sequence} of producer {producer} comes after {last}"
                );
            }
            None => {
                crate::check::failed!("event {event:#x} was posted by nobody");
            }
        }
    }
}
