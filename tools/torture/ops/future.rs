// SPDX-License-Identifier: GPL-2.0

//! Futures: spawned ones that await a cookie, and waits that are polled by hand and dropped in the
//! middle.

use super::{
    submit::Submission,
    token, //
};
use crate::{
    body::{
        Body,
        Ticket, //
    },
    check::check,
    rng::Rng,
    stats::Kind,
    torturer::Torturer, //
};
use async_domain::{
    errno::ESHUTDOWN,
    Cancelled,
    Cookie,
    Submit,
    SubmitError, //
};
use core::{
    future::Future,
    pin::pin,
    task::{
        Context,
        Poll,
        Waker, //
    },
};
use kernel::prelude::*;

/// Spawns a future that awaits what was submitted before it, here or elsewhere; perhaps cancels it.
pub(super) fn spawn(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    // Nobody cancels all tasks of this one: see `cancel`.
    let live = torturer.world.live(0);
    let other = torturer.live(rng);
    let ticket = Ticket::new()?;
    let body = Body::uncounted(&live, Some(ticket.clone()));
    let key = body.key();
    let target = Cookie::now();
    let submission = Submission::new(&torturer.world, &live);

    Kind::Spawn.count();
    // The thread keeps the domains at least as long as the future does.
    let awaited = other.clone();
    let ret = live.domain.spawn(rng.flags(), async move {
        let ret = awaited.domain.synchronize_async(GFP_KERNEL, ..target).await;
        check!(
            ret == Ok(()) || (ret == Err(ESHUTDOWN) && crate::kthread::going()),
            "a future that awaits {target} gets {ret:?}"
        );
        if ret.is_ok() {
            awaited.model.all_below(target, "a future");
        }
        body.begin(None);
    });
    match ret {
        Ok(cookie) => {
            submission.accepted(cookie);
            key.has_cookie(&live.model, cookie);
            let cancelled = rng.one_in(4) && {
                Kind::Cancel.count();
                live.domain.cancel(cookie) == Cancelled::Dropped
            };
            if cancelled {
                ticket.never_ran("a future was cancelled");
            }
            torturer.synchronize(rng, &live, cookie.next());
            if torturer.may_wait() {
                ticket.settled(cookie, "a future");
            }
        }
        Err(SubmitError { error, task }) => {
            submission.refused(error);
            drop(task);
            ticket.never_ran("a future was given back");
        }
    }
    torturer.drop_domain(other);
    torturer.drop_domain(live);
    Ok(())
}

/// Polls a wait before and after what it waits for.
pub(super) fn poll(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);
    let Some(token) = token::begin(torturer, rng, &live) else {
        return Ok(());
    };
    let cookie = token.cookie().next();
    let mut cx = Context::from_waker(Waker::noop());

    for _ in 0..rng.range(1, 3) {
        // Dropped in the middle: the entry must leave the queue.
        let mut dropped = pin!(live.domain.synchronize_async(GFP_KERNEL, ..cookie));
        Kind::Poll.count();
        let _ = dropped.as_mut().poll(&mut cx);
    }
    {
        let mut wait = pin!(live.domain.synchronize_async(GFP_KERNEL, ..cookie));
        for _ in 0..rng.below(3) {
            Kind::Poll.count();
            let ret = wait.as_mut().poll(&mut cx);
            check!(
                ret.is_pending() || crate::kthread::going(),
                "domain {}: {} is in flight, and a wait for it is {ret:?}",
                live.model.number,
                token.cookie()
            );
        }
        Kind::Finish.count();
        token.finish();
        torturer.synchronize(rng, &live, cookie);
        if torturer.may_wait() && !crate::kthread::going() {
            Kind::Poll.count();
            let ret = wait.as_mut().poll(&mut cx);
            check!(
                ret == Poll::Ready(Ok(())),
                "domain {}: all below {cookie} are done, and a wait for them is {ret:?}",
                live.model.number
            );
        }
    }
    torturer.drop_domain(live);
    Ok(())
}
