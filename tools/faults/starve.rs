// SPDX-License-Identifier: GPL-2.0

//! More tasks than the workqueue has places for.

use crate::{
    answer::Answer,
    bench::{
        ensure,
        eventually,
        patience,
        Bench, //
    },
    ledger::{
        Ledger,
        Ticket, //
    },
};
use async_domain::{
    new_async_domain,
    AsyncDomain,
    Cancelled,
    Cookie,
    Submit,
    TaskContext,
    WaitMode, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc,
        Completion, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// More than `WQ_MAX_ACTIVE`, 2048.
const TASKS: i32 = 2500;

/// Submits a task that is run when there is a place.
fn add(
    domain: &AsyncDomain,
    ledger: &Arc<Ledger>,
    func: impl FnOnce(&TaskContext<'_>) + Send + 'static,
) -> Result<Cookie> {
    let ticket = Ticket::new(ledger);

    Ok(
        domain.schedule(GFP_KERNEL, move |context: &TaskContext<'_>| {
            ticket.run();
            func(context);
        })?,
    )
}

/// All places are taken by tasks that wait for a gate. What must go on without a place does.
fn full() -> Result {
    let bench = Bench::new()?;
    let (domain, ledger) = (&bench.domain, bench.ledger()?);
    let gate = Arc::pin_init(Completion::new(), GFP_KERNEL)?;

    // Ordered tasks that have done their work, and are held back by a token.
    let order = new_async_domain!("order", GFP_KERNEL)?;
    let (worked, retired) = (bench.ledger()?, bench.ledger()?);
    let token = order.begin(GFP_KERNEL)?;
    for _ in 0..8 {
        let (work, retire) = (Ticket::new(&worked), Ticket::new(&retired));
        order.schedule_ordered(
            GFP_KERNEL,
            move |_: &TaskContext<'_>| work.run(),
            move |(), _: &TaskContext<'_>| retire.run(),
        )?;
    }
    ensure(eventually(|| worked.ran() == 8), "work was not done")?;

    // A task that has a place, and will want others to run for it.
    let (scoped, go) = (
        bench.ledger()?,
        Arc::pin_init(Completion::new(), GFP_KERNEL)?,
    );
    let (s, g, d) = (scoped.clone(), go.clone(), domain.clone());
    add(domain, &ledger, move |_| {
        g.wait_for_completion();
        d.scope(|scope| {
            for _ in 0..4 {
                let ticket = Ticket::new(&s);
                let _ = scope.schedule(GFP_KERNEL, move |_: &TaskContext<'_>| ticket.run());
            }
        });
    })?;
    let mut cookies = KVec::with_capacity(TASKS as usize, GFP_KERNEL)?;
    for _ in 1..TASKS {
        let gate = gate.clone();
        let cookie = add(domain, &ledger, move |_| gate.wait_for_completion())?;
        cookies.push(cookie, GFP_KERNEL)?;
    }
    // Until nothing starts any more.
    let mut running = 0;
    while ledger.ran() != running || running == 0 {
        running = ledger.ran();
        fsleep(Delta::from_millis(2000));
    }
    pr_info!(
        "starve: {running} tasks run, {} wait for a place\n",
        TASKS - running
    );
    ensure(
        running < TASKS,
        "the limit of the workqueue was not reached",
    )?;

    // A waiter gives up in time.
    let soon = WaitMode::UNINTERRUPTIBLE.timeout(Delta::from_millis(40));
    let ret = domain.synchronize_with(soon, ..Cookie::now());
    ensure(ret == Err(ETIMEDOUT), "somebody did not wait for a task")?;

    // A future is polled, with the answer of an interrupt.
    let futures = Arc::new(new_async_domain!("futures", GFP_KERNEL)?, GFP_KERNEL)?;
    let polled = bench.ledger()?;
    let (ticket, f) = (Ticket::new(&polled), futures.clone());
    let awaited = futures.begin(GFP_KERNEL)?;
    let answered = awaited.cookie().next();
    futures.spawn(GFP_KERNEL, async move {
        if f.synchronize_async(GFP_KERNEL, ..answered).await.is_ok() {
            ticket.run();
        }
    })?;
    let timer = Answer::new(GFP_KERNEL)?.comes_after(Delta::from_millis(1), awaited);
    futures
        .synchronize_with(patience(), ..)
        .inspect_err(|_| pr_err!("a future is not polled while the workqueue is full\n"))?;
    drop(timer);
    polled.expect("future", 1, 1)?;

    // What an interrupt has released is retired.
    let timer = Answer::new(GFP_KERNEL)?.comes_after(Delta::from_millis(1), token);
    order
        .synchronize_with(patience(), ..)
        .inspect_err(|_| pr_err!("nothing is retired while the workqueue is full\n"))?;
    drop(timer);
    retired.expect("retired", 8, 8)?;

    // A scope inside of a task runs its tasks by itself.
    go.complete_all();
    ensure(
        eventually(|| scoped.ran() == 4 && scoped.alive() == 0),
        "a scope waits for a place that its own task holds",
    )?;

    // What has not started can be taken back; the rest is run in its turn.
    let late = cookies.iter().rev().take((TASKS - running) as usize / 2);
    let cancelled = late
        .filter(|&&cookie| domain.cancel(cookie) == Cancelled::Dropped)
        .count() as i32;
    gate.complete_all();
    domain.synchronize_with(patience(), ..)?;
    pr_info!("starve: {cancelled} of those that waited were cancelled\n");
    ensure(cancelled > 0, "nothing could be cancelled")?;
    ledger.expect("full", TASKS, TASKS - cancelled)?;
    bench.expect_drained()
}

/// Many more tasks than places, each of which waits for all before it: the lowest has a place.
fn chain() -> Result {
    let bench = Bench::new()?;
    let ledger = bench.ledger()?;
    let next = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;

    for i in 0..TASKS {
        let next = next.clone();
        add(&bench.domain, &ledger, move |context| {
            if context.synchronize().is_ok() {
                let _ = next.cmpxchg(i, i + 1, Relaxed);
            }
        })?;
    }
    bench
        .domain
        .synchronize_with(patience(), ..)
        .inspect_err(|_| pr_err!("tasks that wait in order hold each other up\n"))?;
    ledger.expect("chain", TASKS, TASKS)?;
    ensure(next.load(Relaxed) == TASKS, "tasks were seen out of order")?;
    pr_info!("starve: {TASKS} tasks waited in order\n");
    bench.expect_drained()
}

/// Takes all places of the workqueue.
pub(crate) fn run() -> Result {
    full()?;
    chain()
}
