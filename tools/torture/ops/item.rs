// SPDX-License-Identifier: GPL-2.0

//! Items in memory of the caller's: in a box that frees itself, and shared ones that submit themselves
//! again.

use super::submit::Submission;
use crate::{
    body::{
        self,
        Body,
        Plan,
        Ticket, //
    },
    check::check,
    how::How,
    model::Live,
    rng::Rng,
    stats::Kind,
    torturer::Torturer,
};
use async_domain::{
    impl_has_task,
    Submit,
    SubmitError,
    TaskContext,
    TaskHeader,
    TaskItem, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Full, //
            },
            Atomic, //
        },
        Arc, //
    },
};

#[pin_data]
struct Boxed {
    #[pin]
    task: TaskHeader<Self>,
    body: Body,
    plan: Plan,
}

impl_has_task! {
    impl HasTask<Self> for Boxed { self.task }
}

impl TaskItem for Boxed {
    type Pointer = Pin<KBox<Self>>;

    fn run(this: Self::Pointer, context: &TaskContext<'_>) {
        this.body.begin(Some(context.cookie()));
        this.plan.carry_out(&this.body, context);
    }
}

/// An item that its own function frees.
pub(super) fn boxed(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = torturer.live(rng);
    let ticket = Ticket::new()?;
    let memory = KBox::<Boxed>::new_uninit(GFP_KERNEL)?;
    let body = Body::new(&live, Some(ticket.clone()));
    let key = body.key();
    let plan = Plan::any(rng);
    let item = memory.write_pin_init(pin_init!(Boxed {
        task <- TaskHeader::new(),
        body,
        plan,
    }))?;

    let submission = Submission::new(&torturer.world, &live);
    Kind::Submit.count();
    match submission.judge(live.domain.submit(item)) {
        Some(cookie) => {
            key.has_cookie(&live.model, cookie);
            if rng.one_in(3) {
                torturer.synchronize(rng, &live, cookie.next());
                if torturer.may_wait() {
                    ticket.settled(cookie, "item");
                }
            }
        }
        None => ticket.never_ran("an item was given back"),
    }
    torturer.drop_domain(live);
    Ok(())
}

/// An item with two headers: each one submits the item again by itself.
#[pin_data]
struct Shared {
    #[pin]
    first: TaskHeader<Self>,
    #[pin]
    second: TaskHeader<Self, 1>,
    live: Arc<Live>,
    left: Atomic<i64>,
    running: [Atomic<bool>; 2],
    runs: Atomic<i64>,
}

impl_has_task! {
    impl HasTask<Self> for Shared { self.first }
    impl HasTask<Self, 1> for Shared { self.second }
}

impl Shared {
    /// Submits the item again, before its function has returned, as often as there is something left.
    fn again<const ID: u64>(this: Arc<Self>, cookie: u64)
    where
        Self: TaskItem<ID, Pointer = Arc<Self>>,
    {
        // CAST: 0 or 1.
        let running = &this.running[ID as usize];
        this.runs.fetch_add(1, Full);
        body::run();
        running.xchg(false, Full);
        if this.left.fetch_sub(1, Full) <= 0 {
            return;
        }
        check!(
            !running.xchg(true, Full),
            "an item runs twice at a time (cookie {cookie})"
        );
        body::made();
        Kind::Submit.count();
        let live = this.live.clone();
        match live.domain.submit::<_, ID>(this) {
            Ok(next) => {
                check!(
                    next.as_u64() > cookie,
                    "an item that had cookie {cookie} now has {next}"
                );
            }
            Err(SubmitError { error, task }) => {
                body::given_back(1);
                // It counts down what it has not run.
                task.left.fetch_add(1, Full);
                check!(
                    error == async_domain::errno::ESHUTDOWN && crate::kthread::going(),
                    "an item cannot submit itself again: {error:?}"
                );
            }
        }
    }
}

impl TaskItem for Shared {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, context: &TaskContext<'_>) {
        Self::again::<0>(this, context.cookie().as_u64());
    }
}

impl TaskItem<1> for Shared {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, context: &TaskContext<'_>) {
        Self::again::<1>(this, context.cookie().as_u64());
    }
}

/// A shared item in a domain of its own.
pub(super) fn again(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let live = Live::new()?;
    let times = i64::from(rng.below(12));
    let own = live.clone();
    let item = Arc::pin_init(
        pin_init!(Shared {
            first <- TaskHeader::new(),
            second <- TaskHeader::new(),
            live: own,
            left: Atomic::new(times),
            running: [const { Atomic::new(true) }; 2],
            runs: Atomic::new(0),
        }),
        GFP_KERNEL,
    )?;

    Kind::Domain.count();
    let mut submitted = 0;
    for second in [false, true] {
        let submission = Submission::new(&torturer.world, &live);
        let ret = if second {
            live.domain.submit::<_, 1>(item.clone())
        } else {
            live.domain.submit::<_, 0>(item.clone())
        };

        Kind::Submit.count();
        body::made();
        if submission.judge(ret).is_some() {
            submitted += 1;
        }
    }
    while torturer.may_wait() && !torturer.drain(&live, How::any(rng, &torturer.world.parameters)) {
    }
    if torturer.may_wait() {
        live.is_idle();
        let runs = item.runs.load(Acquire);
        check!(
            submitted < 2 || runs == times + 2 || crate::kthread::going(),
            "an item was run {runs} times, instead of {times} + 2"
        );
    }
    drop(item);
    torturer.drop_domain(live);
    Ok(())
}
