// SPDX-License-Identifier: GPL-2.0

//! A domain that nobody else uses, of which one can tell exactly what it accepts.

use super::token;
use crate::{
    body::{
        self,
        closure,
        Body,
        Plan,
        Ticket, //
    },
    check::check,
    model::Live,
    rng::Rng,
    stats::Kind,
    torturer::Torturer, //
};
use async_domain::{
    errno::ESHUTDOWN,
    Submit,
    SubmitError, //
};
use kernel::prelude::*;

/// Fills it to its limit, and closes it.
pub(super) fn limit_and_close(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = Live::new()?;
    let limit = rng.range(1, 6);
    let mut tokens = KVec::new();

    Kind::Domain.count();
    Kind::Limit.count();
    // CAST: A small number.
    live.domain.set_limit(limit as usize);
    for _ in 0..limit {
        match token::begin(torturer, rng, &live) {
            Some(token) => tokens.push(token, GFP_KERNEL)?,
            // No memory, or no module any more.
            None => return Ok(()),
        }
    }
    refused(&live, EAGAIN, rng)?;

    // The limit does not keep a task from being run at once, which can wait for nobody.
    let ticket = Ticket::new()?;
    let body = Body::new(&live, Some(ticket.clone()));
    Kind::OrRun.count();
    match live
        .domain
        .schedule_or_run(GFP_KERNEL, closure(body, Plan::Return))
    {
        Ok(cookie) => {
            check!(
                ticket.settled(cookie, "schedule_or_run"),
                "{cookie} was not run"
            );
        }
        Err(SubmitError { error, task }) => {
            body::given_back(1);
            drop(task);
            check!(
                error == ENOMEM || crate::kthread::going(),
                "schedule_or_run fails with {error:?}"
            );
        }
    }

    rng.shuffle(&mut tokens);
    if let Some(token) = tokens.pop() {
        Kind::Finish.count();
        token.finish();
    }
    if let Some(token) = token::begin(torturer, rng, &live) {
        tokens.push(token, GFP_KERNEL)?;
    }

    Kind::Close.count();
    live.model.begin_close();
    live.domain.close();
    live.model.end_close();
    refused(&live, ESHUTDOWN, rng)?;
    for token in tokens {
        Kind::Finish.count();
        token.finish();
    }
    live.is_idle();
    torturer.drop_domain(live);
    Ok(())
}

/// Checks that nothing more is accepted, and why.
fn refused(live: &Live, why: Error, rng: &mut Rng) -> Result {
    let ticket = Ticket::new()?;
    let body = Body::new(live, Some(ticket.clone()));

    Kind::Schedule.count();
    Kind::Refused.count();
    match live
        .domain
        .schedule(GFP_KERNEL, closure(body, Plan::any(rng)))
    {
        Ok(cookie) => {
            crate::check::failed!(
                "domain {} accepts {cookie}, instead of {why:?}",
                live.model.number
            );
        }
        Err(SubmitError { error, task }) => {
            body::given_back(1);
            drop(task);
            check!(
                error == why || error == ENOMEM || crate::kthread::going(),
                "domain {} refuses with {error:?}, instead of {why:?}",
                live.model.number
            );
            ticket.never_ran("a closure was given back");
        }
    }
    Ok(())
}
