// SPDX-License-Identifier: GPL-2.0

//! Tokens, finished by threads, tasks and timers, in any order.

use super::submit::Submission;
use crate::{
    body::{
        self,
        Body, //
    },
    in_flight::InFlight,
    model::{
        Live,
        Place,
        Stage, //
    },
    rng::Rng,
    stats::Kind,
    torturer::Torturer, //
};
use async_domain::Submit;
use kernel::prelude::*;

/// Takes a token.
pub(crate) fn begin(torturer: &Torturer, rng: &mut Rng, live: &Live) -> Option<InFlight> {
    let place = Place::take(&live.model, Stage::InFlight);
    let submission = Submission::new(&torturer.world, live);

    Kind::Begin.count();
    match live.domain.begin(rng.flags()) {
        Ok(token) => {
            submission.accepted(token.cookie());
            place.has_cookie(token.cookie());
            Some(InFlight::new(place, token))
        }
        Err(e) => {
            submission.refused(e);
            None
        }
    }
}

/// Some tokens of one domain.
fn some(torturer: &Torturer, rng: &mut Rng, live: &Live) -> Result<KVec<InFlight>> {
    let nr = rng.range(1, 8);
    // CAST: A small number.
    let mut tokens = KVec::with_capacity(nr as usize, GFP_KERNEL)?;

    for _ in 0..nr {
        if let Some(token) = begin(torturer, rng, live) {
            tokens.push(token, GFP_KERNEL)?;
        }
    }
    Ok(tokens)
}

/// The thread finishes them itself, in any order.
pub(super) fn pairs(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);
    let mut tokens = some(torturer, rng, &live)?;

    rng.shuffle(&mut tokens);
    while let Some(token) = tokens.pop() {
        let (cookie, lowest) = (token.cookie(), live.look());

        crate::check::check!(
            lowest.is_some_and(|lowest| lowest <= cookie),
            "domain {}: {cookie} is in flight, but {lowest:?} is the lowest",
            live.model.number
        );
        Kind::Frontier.count();
        Kind::Finish.count();
        token.finish();
    }
    torturer.drop_domain(live);
    Ok(())
}

/// A timer finishes them, one by one.
pub(super) fn timer(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);
    let mut tokens = some(torturer, rng, &live)?;
    let last = tokens.last().map(InFlight::cookie);

    rng.shuffle(&mut tokens);
    torturer.timers.finish(tokens, rng)?;
    if let Some(last) = last.filter(|_| rng.one_in(2)) {
        torturer.synchronize(rng, &live, last.next());
    }
    torturer.drop_domain(live);
    Ok(())
}

/// A task of another domain finishes them, or of the same one.
pub(super) fn task(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let (live, other) = (torturer.live(rng), torturer.live(rng));
    let mut tokens = some(torturer, rng, &live)?;

    rng.shuffle(&mut tokens);
    let body = Body::new(&other, None);
    let micros = rng.below(100);
    let submission = Submission::new(&torturer.world, &other);
    Kind::Schedule.count();
    let ret = other.domain.schedule(rng.flags(), move |context| {
        body.begin(Some(context.cookie()));
        for token in tokens {
            body::sleep(micros);
            Kind::Finish.count();
            token.finish();
        }
    });
    // Refused or cancelled, the tokens are finished by being dropped.
    submission.judge(ret);
    torturer.drop_domain(other);
    torturer.drop_domain(live);
    Ok(())
}
