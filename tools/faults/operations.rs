// SPDX-License-Identifier: GPL-2.0

//! What the API can do, each in a few lines that check the outcome.

use crate::{
    answer::Answer,
    bench::{
        ensure,
        insist,
        patience,
        Bench, //
    },
    ledger::Ticket,
};
use async_domain::{
    impl_has_task,
    keyed::{
        WaitTable,
        Woken, //
    },
    new_async_domain,
    new_completion_ring,
    new_wait_table,
    static_domain,
    threshold::CompletionRing,
    AsyncDomain,
    Cancelled,
    Cookie,
    DeviceDomain,
    Submit,
    TaskContext,
    TaskHeader,
    TaskItem,
    WaitMode, //
};
use core::{
    future::Future,
    task::{
        self,
        Poll,
        Waker, //
    },
};
use kernel::{
    alloc::flags::__GFP_NOWARN,
    device::{
        Bound,
        Device, //
    },
    faux,
    prelude::*,
    sync::Arc,
    time::Delta, //
};

/// One thing that the API can do.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// Whether it needs memory. What does not may not ask for any.
    pub(crate) allocates: bool,
    /// Whether it is fit for a storm: it makes no device, which takes the kernel a great many allocations.
    pub(crate) storms: bool,
    pub(crate) run: fn(&Bench) -> Result,
}

impl Operation {
    const fn new(name: &'static str, run: fn(&Bench) -> Result) -> Self {
        Self {
            name,
            allocates: true,
            storms: true,
            run,
        }
    }
}

pub(crate) const OPERATIONS: [Operation; 18] = [
    Operation {
        allocates: false,
        ..Operation::new("first use of a static domain", first_use)
    },
    Operation::new("schedule in a static domain", in_static_domain),
    Operation::new("new domain, dropped with a task", new_domain),
    Operation::new("schedule", schedule),
    Operation::new("schedule, GFP_NOWAIT", schedule_nowait),
    Operation::new("schedule_or_run", schedule_or_run),
    Operation::new("schedule_ordered", schedule_ordered),
    Operation::new("schedule_with_handle", schedule_with_handle),
    Operation::new("schedule_result", schedule_result),
    Operation::new("schedule_batch", schedule_batch),
    Operation::new("scope", scope),
    Operation::new("begin", begin),
    Operation::new("poll a wait", poll),
    Operation::new("spawn", spawn),
    Operation {
        allocates: false,
        ..Operation::new("submit, wait, cancel, finish", never_allocate)
    },
    Operation::new("wait table", wait_table),
    Operation::new("completion ring", completion_ring),
    Operation {
        storms: false,
        ..Operation::new("device domain", device_domain)
    },
];

static_domain!(static FIRST_USED);
static_domain!(static SCHEDULED);

fn first_use(bench: &Bench) -> Result {
    let lowest = bench.injection.here(|| FIRST_USED.lowest_in_progress());

    ensure(lowest.is_none(), "an unused domain has a task")
}

fn in_static_domain(bench: &Bench) -> Result {
    let ledger = bench.ledger()?;
    let ticket = Ticket::new(&ledger);
    let cookie = bench.submit(
        &ledger,
        move |_: &TaskContext<'_>| ticket.run(),
        |func| SCHEDULED.schedule(GFP_KERNEL, func),
    )?;

    SCHEDULED.synchronize_with(patience(), ..=cookie)?;
    ledger.expect("static domain", 1, 1)
}

fn new_domain(bench: &Bench) -> Result {
    let ledger = bench.ledger()?;
    let ticket = Ticket::new(&ledger);
    let domain = bench.make(|| new_async_domain!("new", GFP_KERNEL))?;

    bench.submit(
        &ledger,
        move |_: &TaskContext<'_>| ticket.run(),
        |func| domain.schedule(GFP_KERNEL, func),
    )?;
    drop(domain);
    ledger.expect("new domain", 1, 1)
}

fn schedule(bench: &Bench) -> Result {
    bench.one(
        |ticket| move |_: &TaskContext<'_>| ticket.run(),
        |domain, func| domain.schedule(GFP_KERNEL, func),
    )
}

fn schedule_nowait(bench: &Bench) -> Result {
    bench.one(
        |ticket| move |_: &TaskContext<'_>| ticket.run(),
        |domain, func| domain.schedule(GFP_NOWAIT, func),
    )
}

fn schedule_or_run(bench: &Bench) -> Result {
    bench.one(
        |ticket| move |_: &TaskContext<'_>| ticket.run(),
        |domain, func| domain.schedule_or_run(GFP_KERNEL, func),
    )
}

fn schedule_result(bench: &Bench) -> Result {
    bench.one(
        |ticket| {
            move |_: &TaskContext<'_>| {
                ticket.run();
                Err(ENXIO)
            }
        },
        |domain, func| domain.schedule(GFP_KERNEL, func),
    )?;
    let error = bench.domain.synchronize_result();
    ensure(error == Err(ENXIO), "the error of a task is lost")
}

fn schedule_ordered(bench: &Bench) -> Result {
    let ledger = bench.ledger()?;
    let (work, retire) = (Ticket::new(&ledger), Ticket::new(&ledger));
    let cookie = bench.submit(
        &ledger,
        (
            move |_: &TaskContext<'_>| {
                work.run();
                work
            },
            move |work: Ticket, _: &TaskContext<'_>| {
                drop(work);
                retire.run();
            },
        ),
        |(work, retire)| bench.domain.schedule_ordered(GFP_KERNEL, work, retire),
    )?;

    bench.domain.synchronize_with(patience(), ..=cookie)?;
    ledger.expect("two parts", 2, 2)
}

fn schedule_with_handle(bench: &Bench) -> Result {
    let ledger = bench.ledger()?;
    let ticket = Ticket::new(&ledger);
    let mut handle = bench.submit(
        &ledger,
        move |_: &TaskContext<'_>| {
            ticket.run();
            // The value is lost if the cell is.
            ticket
        },
        |func| bench.domain.schedule_with_handle(GFP_KERNEL, func),
    )?;

    let value = handle.join_with(patience())?;
    ensure(ledger.alive() == 1, "a value was dropped on its way")?;
    drop((value, handle));
    bench.domain.synchronize_with(patience(), ..)?;
    ledger.expect("handle", 1, 1)
}

fn schedule_batch(bench: &Bench) -> Result {
    const COUNT: i32 = 8;
    let ledger = bench.ledger()?;
    let mut funcs = insist(|| Ok(KVec::with_capacity(COUNT as usize, GFP_KERNEL)?))?;

    for _ in 0..COUNT {
        let ticket = Ticket::new(&ledger);
        funcs
            .push_within_capacity(move |_: &TaskContext<'_>| ticket.run())
            .map_err(|_| EINVAL)?;
    }
    let cookies = bench.submit(&ledger, funcs, |funcs| {
        bench.domain.schedule_batch(GFP_KERNEL, funcs)
    })?;
    bench.domain.synchronize_with(patience(), ..cookies.end)?;
    ledger.expect("batch", COUNT, COUNT)
}

fn scope(bench: &Bench) -> Result {
    let ledgers = [bench.ledger()?, bench.ledger()?];
    let mut squares = [0, 0];

    bench.domain.scope(|scope| -> Result {
        for ((i, ledger), square) in (2..).zip(&ledgers).zip(&mut squares) {
            let ticket = Ticket::new(ledger);
            bench.submit(
                ledger,
                move |_: &TaskContext<'_>| {
                    ticket.run();
                    *square = i * i;
                },
                |func| scope.schedule(GFP_KERNEL, func),
            )?;
        }
        Ok(())
    })?;
    ensure(squares == [4, 9], "a scope was left before its tasks")?;
    ledgers
        .iter()
        .try_for_each(|ledger| ledger.expect("scope", 1, 1))
}

fn begin(bench: &Bench) -> Result {
    let token = bench.make(|| bench.domain.begin(GFP_KERNEL))?;
    let cookie = token.cookie();

    ensure(
        bench.domain.lowest_in_progress() == Some(cookie),
        "a token has no place in the order",
    )?;
    token.finish();
    bench.domain.synchronize_with(patience(), ..=cookie)
}

/// Waits until there is memory to do so, and then for the cookie.
async fn wait(domain: &AsyncDomain, cookie: Cookie) -> Result {
    loop {
        match domain.synchronize_async(GFP_KERNEL, ..cookie).await {
            Err(e) if e == ENOMEM => {}
            ret => return ret,
        }
    }
}

fn poll(bench: &Bench) -> Result {
    let token = bench.make(|| bench.domain.begin(GFP_KERNEL))?;
    let cookie = token.cookie().next();
    let mut cx = task::Context::from_waker(Waker::noop());

    // One that has failed stays so.
    let mut wait = bench.make(|| {
        let mut wait = bench.domain.synchronize_async(GFP_KERNEL, ..cookie);
        match Pin::new(&mut wait).poll(&mut cx) {
            Poll::Ready(Err(e)) => Err(e),
            _ => Ok(wait),
        }
    })?;
    ensure(
        Pin::new(&mut wait).poll(&mut cx).is_pending(),
        "a token was not waited for",
    )?;
    token.finish();
    ensure(
        Pin::new(&mut wait).poll(&mut cx) == Poll::Ready(Ok(())),
        "a wait is not over when its token has finished",
    )
}

fn spawn(bench: &Bench) -> Result {
    let ledger = bench.ledger()?;
    let ticket = Ticket::new(&ledger);
    let token = bench.make(|| bench.domain.begin(GFP_KERNEL))?;
    let (domain, answered) = (bench.domain.clone(), token.cookie().next());

    let cookie = bench.submit(
        &ledger,
        async move {
            if wait(&domain, answered).await.is_ok() {
                ticket.run();
            }
        },
        |future| bench.domain.spawn(GFP_KERNEL, future),
    )?;
    // The answer comes by interrupt.
    let answer = insist(|| Answer::new(GFP_KERNEL))?;
    let _timer = answer.comes_after(Delta::from_micros(200), token);

    bench.domain.synchronize_with(patience(), ..=cookie)?;
    ledger.expect("future", 1, 1)
}

/// An item that brings its memory.
#[pin_data]
struct Item {
    ticket: Ticket,
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Item { self.task }
}

impl TaskItem for Item {
    type Pointer = Pin<KBox<Self>>;

    fn run(this: Pin<KBox<Self>>, _context: &TaskContext<'_>) {
        this.ticket.run();
    }
}

fn never_allocate(bench: &Bench) -> Result {
    let domain = &bench.domain;
    let ledger = bench.ledger()?;
    let item = insist(|| {
        let ticket = Ticket::new(&ledger);
        KBox::pin_init(
            pin_init!(Item { ticket, task <- TaskHeader::new() }),
            GFP_KERNEL,
        )
    })?;
    let made = ledger.made();
    let token = insist(|| domain.begin(GFP_KERNEL))?;

    bench.injection.here(|| -> Result {
        let cookie = domain.submit(item)?;
        let below =
            domain.synchronize_with(WaitMode::KILLABLE.timeout(Delta::from_millis(4)), ..cookie);
        ensure(below == Err(ETIMEDOUT), "a token is not waited for")?;
        ensure(
            domain.cancel(token.cookie()) == Cancelled::AskedToStop,
            "a token was cancelled",
        )?;
        token.finish();
        domain.synchronize_with(patience(), ..=cookie)?;
        domain.cancel_all();
        domain.synchronize_result()
    })?;
    ledger.expect("item", made, 1)
}

fn wait_table(bench: &Bench) -> Result {
    // One bucket fits everywhere; many do not fit a slab.
    for buckets in [1, 1024] {
        let table: WaitTable<u32> =
            bench.make(|| new_wait_table!(buckets, GFP_KERNEL | __GFP_NOWARN))?;

        ensure(table.nr_buckets() == buckets, "a table has too few buckets")?;
        table.wait_event(17, patience(), || true)?;
        ensure(
            table.wake_up(17, || ()) == Woken::default(),
            "somebody waits in a new table",
        )?;
    }
    Ok(())
}

fn completion_ring(bench: &Bench) -> Result {
    for capacity in [4, 4096] {
        let ring: Arc<CompletionRing<u64>> = bench.make(|| {
            Arc::pin_init(
                new_completion_ring!(capacity, GFP_KERNEL | __GFP_NOWARN),
                GFP_KERNEL,
            )
        })?;
        let mut events = [0; 3];

        ring.post_all(&[1, 2, 3])?;
        let taken = ring.wait(&mut events, 3, patience())?;
        ensure((taken, events) == (3, [1, 2, 3]), "a ring loses events")?;
    }
    Ok(())
}

fn device_domain(bench: &Bench) -> Result {
    let ledger = bench.ledger()?;
    let ticket = Ticket::new(&ledger);
    let device = faux::Registration::new(c"async_domain_faults", None)?;
    let bound: &faux::Device<Bound> = device.as_ref();
    let domain = bench.make(|| DeviceDomain::new(bound.as_ref()))?;

    bench.submit(
        &ledger,
        move |_: &TaskContext<'_>, _: &Device<Bound>| ticket.run(),
        |func| domain.schedule_with_device(GFP_KERNEL, func),
    )?;
    // Leaked: to remove the device waits for the task.
    core::mem::forget(domain);
    drop(device);
    ledger.expect("device domain", 1, 1)
}
