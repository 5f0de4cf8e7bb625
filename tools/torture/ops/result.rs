// SPDX-License-Identifier: GPL-2.0

//! Values and errors that come back.

use super::submit::Submission;
use crate::{
    body::{
        self,
        Body,
        Plan,
        Ticket, //
    },
    check::check,
    how::{
        Began,
        How, //
    },
    model::Live,
    post::Waiting, //
    rng::{
        mix,
        Rng, //
    },
    stats::Kind,
    torturer::Torturer,
};
use async_domain::{
    errno::ECANCELED,
    Submit,
    SubmitError, //
};
use kernel::prelude::*;

/// A value, which is joined, or whose handle is dropped.
pub(super) fn handle(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);
    let ticket = Ticket::new()?;
    let (body, plan, number) = (
        Body::new(&live, Some(ticket.clone())),
        Plan::any(rng),
        rng.next(),
    );
    let key = body.key();
    let submission = Submission::new(&torturer.world, &live);

    Kind::Handle.count();
    let ret = live
        .domain
        .schedule_with_handle(rng.flags(), move |context| {
            body.begin(Some(context.cookie()));
            plan.carry_out(&body, context);
            mix(number)
        });
    match ret {
        Ok(mut handle) => {
            let cookie = handle.cookie();
            submission.accepted(cookie);
            key.has_cookie(&live.model, cookie);

            while torturer.may_wait() && !rng.one_in(8) {
                let how = How::any(rng, &torturer.world.parameters);
                let began = Began::now();
                Kind::Join.count();
                let ret = torturer
                    .post()
                    .watched(Waiting::Below(live.clone(), cookie.next()), || {
                        handle.join_with(how.mode)
                    });
                match ret {
                    Ok(value) => {
                        check!(value == mix(number), "task {cookie} gives another's value");
                        break;
                    }
                    // Somebody else has.
                    Err(e) if e == ECANCELED => {
                        ticket.never_ran("a handle says that its task was cancelled");
                        break;
                    }
                    Err(e) => how.judge(Err(e), began, "join"),
                };
            }
        }
        Err(SubmitError { error, task }) => {
            submission.refused(error);
            body::given_back(1);
            drop(task);
            ticket.never_ran("a closure with a value was given back");
        }
    }
    torturer.drop_domain(live);
    Ok(())
}

/// Errors, of which the first in cookie order is kept.
pub(super) fn fallible(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    const ERRORS: [Error; 4] = [EIO, ENXIO, ENODEV, EBUSY];
    let live = Live::new()?;
    let mut first = Ok(());

    Kind::Domain.count();
    for _ in 0..rng.range(1, 8) {
        let body = Body::new(&live, None);
        let plan = Plan::any(rng);
        let result = match rng.below(8) {
            i @ 0..4 => Err(ERRORS[i as usize]),
            _ => Ok(()),
        };
        let submission = Submission::new(&torturer.world, &live);

        Kind::Fallible.count();
        let ret = live.domain.schedule(rng.flags(), move |context| {
            body.begin(Some(context.cookie()));
            plan.carry_out(&body, context);
            result
        });
        if submission.judge(ret).is_some() && first.is_ok() {
            first = result;
        }
    }
    Kind::Drain.count();
    let ret = torturer.post().watched(Waiting::Empty(live.clone()), || {
        live.domain.synchronize_result()
    });
    check!(
        ret == first,
        "domain {}: the first error was {first:?}, synchronize_result says {ret:?}",
        live.model.number
    );
    live.is_idle();
    torturer.drop_domain(live);
    Ok(())
}
