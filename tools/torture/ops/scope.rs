// SPDX-License-Identifier: GPL-2.0

//! Scopes: tasks that borrow from the thread's frame.

use super::submit::Submission;
use crate::{
    body::{
        Body,
        Plan,
        Ticket, //
    },
    check::check,
    post::Waiting, //
    rng::Rng,
    stats::Kind,
    torturer::Torturer,
};
use async_domain::{
    Cookie,
    Submit, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

const TASKS: usize = 4;

pub(super) fn run(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);
    let mut tickets: [Option<Arc<Ticket>>; TASKS] = [const { None }; TASKS];
    for ticket in &mut tickets {
        *ticket = Some(Ticket::new()?);
    }
    let mut cookies: [Option<Cookie>; TASKS] = [None; TASKS];
    // What the tasks borrow.
    let mut written = [0; TASKS];

    // All that the scope waits for was submitted below the cookie that comes.
    let waiting = Waiting::Empty(live.clone());
    torturer.post().watched(waiting, || {
        live.domain.scope(|scope| {
            for (i, slot) in written.iter_mut().enumerate() {
                let body = Body::new(&live, tickets[i].clone());
                let key = body.key();
                let plan = Plan::any(rng);
                let submission = Submission::new(&torturer.world, &live);

                Kind::Scope.count();
                let ret = scope.schedule(rng.flags(), move |context| {
                    body.begin(Some(context.cookie()));
                    plan.carry_out(&body, context);
                    *slot = context.cookie().as_u64();
                });
                cookies[i] = submission.judge(ret);
                if let Some(cookie) = cookies[i] {
                    key.has_cookie(&live.model, cookie);
                }
            }
        });
    });

    for ((cookie, ticket), written) in cookies.iter().zip(&tickets).zip(written) {
        let (Some(cookie), Some(ticket)) = (cookie, ticket) else {
            continue;
        };
        let expected = if ticket.settled(*cookie, "the scope's task") {
            cookie.as_u64()
        } else {
            0
        };
        check!(
            written == expected,
            "the scope has ended, and its task {cookie} has written {written}"
        );
    }
    torturer.drop_domain(live);
    Ok(())
}
