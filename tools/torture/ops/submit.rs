// SPDX-License-Identifier: GPL-2.0

//! Closures: `schedule`, `schedule_ordered` and `schedule_or_run`.

use crate::{
    body::{
        self,
        closure,
        Body,
        Plan,
        Ticket, //
    },
    check::check,
    model::{
        Live,
        Model, //
    },
    rng::Rng,
    stats::Kind,
    torturer::Torturer,
    world::World, //
};
use async_domain::{
    errno::ESHUTDOWN,
    Cookie,
    Submit,
    SubmitError, //
    TaskContext,
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// What is known before something is submitted, by which the answer is checked.
pub(crate) struct Submission<'a> {
    world: &'a World,
    model: &'a Model,
    after: Cookie,
    closed: bool,
}

impl<'a> Submission<'a> {
    pub(crate) fn new(world: &'a World, live: &'a Live) -> Self {
        Self {
            world,
            model: &live.model,
            after: Cookie::now(),
            closed: live.model.is_closed(),
        }
    }

    /// It was accepted, with this cookie.
    pub(crate) fn accepted(&self, cookie: Cookie) {
        let now = Cookie::now();

        check!(
            self.after <= cookie && cookie < now,
            "domain {}: cookie {cookie} was taken between {} and {now}",
            self.model.number,
            self.after
        );
        check!(
            !self.closed,
            "domain {} has been closed, and accepts {cookie}",
            self.model.number
        );
    }

    /// It was refused.
    pub(crate) fn refused(&self, error: Error) {
        Kind::Refused.count();
        let allowed = error == EAGAIN
            || error == ENOMEM
            || (error == ESHUTDOWN && (self.model.is_closing() || self.world.is_going()));

        check!(
            allowed,
            "domain {} refuses with {error:?}",
            self.model.number
        );
    }

    /// Closures that may have been refused, and are then dropped.
    pub(crate) fn judge<T>(&self, ret: Result<Cookie, SubmitError<T>>) -> Option<Cookie> {
        match ret {
            Ok(cookie) => {
                self.accepted(cookie);
                Some(cookie)
            }
            Err(SubmitError { error, task }) => {
                self.refused(error);
                body::given_back(1);
                drop(task);
                None
            }
        }
    }
}

/// Submits a closure in any of the forms; returns its cookie, and its name.
pub(crate) fn any(
    torturer: &Torturer,
    rng: &mut Rng,
    live: &Live,
    ticket: Option<Arc<Ticket>>,
) -> (Option<Cookie>, &'static str) {
    let body = Body::new(live, ticket);
    let key = body.key();
    let (plan, flags) = (Plan::any(rng), rng.flags());
    let submission = Submission::new(&torturer.world, live);

    let (ret, name) = match rng.below(8) {
        0..4 => {
            Kind::Schedule.count();
            let ret = live.domain.schedule(flags, closure(body, plan));
            (submission.judge(ret), "schedule")
        }
        4..7 => {
            let (work, retire) = ordered(body, plan, rng.below(100));

            Kind::Ordered.count();
            let ret = live.domain.schedule_ordered(flags, work, retire);
            (submission.judge(ret), "schedule_ordered")
        }
        _ => {
            Kind::OrRun.count();
            let ret = live.domain.schedule_or_run(flags, closure(body, plan));
            (submission.judge(ret), "schedule_or_run")
        }
    };
    if let Some(cookie) = ret {
        key.has_cookie(&live.model, cookie);
    }
    (ret, name)
}

/// The parts of an ordered task. The second one owns what is checked.
fn ordered(
    body: Body,
    plan: Plan,
    times: u32,
) -> (
    impl FnOnce(&TaskContext<'_>) -> Cookie + Send + 'static,
    impl FnOnce(Cookie, &TaskContext<'_>) + Send + 'static,
) {
    // One that waits in its first part is no different from a plain task.
    let plan = match plan {
        Plan::InOrder(times) => Plan::Spin(times),
        plan => plan,
    };
    let work = move |context: &TaskContext<'_>| {
        match plan {
            Plan::Spin(times) => body::spin(times),
            Plan::Sleep(micros) => body::sleep(micros),
            Plan::Return | Plan::InOrder(_) => (),
        }
        context.cookie()
    };
    let retire = move |first: Cookie, context: &TaskContext<'_>| {
        let (cookie, place) = (context.cookie(), body.place());

        body.begin(Some(cookie));
        check!(
            first == cookie,
            "domain {}: the parts of a task have cookies {first} and {cookie}",
            place.model().number
        );
        place.model().all_below(cookie, "to be retired");
        place.model().in_order(cookie, || body::spin(times));
    };
    (work, retire)
}

/// Submits, and goes on.
pub(super) fn forget(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);

    for _ in 0..rng.range(1, 6) {
        any(torturer, rng, &live, None);
    }
    torturer.drop_domain(live);
    Ok(())
}

/// Submits some, waits for them, and sees what has become of each.
pub(super) fn check(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);
    let mut tasks = KVec::new();

    for _ in 0..rng.range(1, 8) {
        let ticket = Ticket::new()?;
        let (cookie, name) = any(torturer, rng, &live, Some(ticket.clone()));

        match cookie {
            Some(cookie) => tasks.push((cookie, ticket, name), GFP_KERNEL)?,
            None => ticket.never_ran("a closure was given back"),
        }
    }
    if let Some(last) = tasks.last().map(|(cookie, ..)| *cookie) {
        torturer.synchronize(rng, &live, last.next());
        if torturer.may_wait() {
            for (cookie, ticket, name) in tasks {
                ticket.settled(cookie, name);
            }
        }
    }
    torturer.drop_domain(live);
    Ok(())
}
