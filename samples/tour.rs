// SPDX-License-Identifier: GPL-2.0

//! What a domain can do, one thing after the other, each in a few lines.

use async_domain::{
    impl_has_task,
    new_async_domain,
    AsyncDomain,
    Cancelled,
    Submit,
    TaskContext,
    TaskHeader,
    TaskItem,
    WaitMode, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

module! {
    type: Tour,
    name: "tour",
    authors: ["The async_domain developers"],
    description: "What an async domain can do",
    license: "GPL",
}

struct Tour;

impl kernel::Module for Tour {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let domain = new_async_domain!("tour", GFP_KERNEL)?;

        in_order(&domain)?;
        borrowed(&domain)?;
        own_memory(&domain)?;
        values_and_errors(&domain)?;
        many_at_once(&domain)?;
        taken_back(&domain)?;
        pr_info!("{:?}\n", domain.stats());
        Ok(Self)
    }
}

/// Two parts: one in parallel with others, one in cookie order, for which no thread sleeps.
fn in_order(domain: &AsyncDomain) -> Result {
    for i in 0..4 {
        domain.schedule_ordered(
            GFP_KERNEL,
            move |_| {
                fsleep(Delta::from_millis(40 - 10 * i));
                i * i
            },
            move |square, _| pr_info!("ordered: {i} squared is {square}\n"),
        )?;
    }
    domain.synchronize(..)
}

/// Closures that borrow from this frame, which is not left before they are done.
fn borrowed(domain: &AsyncDomain) -> Result {
    let numbers = [3, 1, 4, 1, 5, 9, 2, 6];
    let (mut sum, mut max) = (0, 0);

    domain.scope(|scope| -> Result {
        scope.schedule(GFP_KERNEL, |_| sum = numbers.iter().sum())?;
        scope.schedule(GFP_KERNEL, |_| max = numbers.into_iter().max().unwrap_or(0))?;
        Ok(())
    })?;
    pr_info!("scope: sum {sum}, max {max}\n");
    Ok(())
}

/// A request that brings the memory of its task.
#[pin_data]
struct Request {
    sector: u64,
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Request { self.task }
}

impl TaskItem for Request {
    type Pointer = Pin<KBox<Self>>;

    fn run(this: Pin<KBox<Self>>, context: &TaskContext<'_>) {
        pr_info!(
            "item: sector {}, cookie {}\n",
            this.sector,
            context.cookie()
        );
    }
}

/// Submission that never allocates; the task frees the memory.
fn own_memory(domain: &AsyncDomain) -> Result {
    let init = pin_init!(Request { sector: 17, task <- TaskHeader::new() });
    let cookie = domain.submit(KBox::pin_init(init, GFP_KERNEL)?)?;

    domain.synchronize(..=cookie)
}

/// Values come back by handles, errors by the domain.
fn values_and_errors(domain: &AsyncDomain) -> Result {
    let answer = domain.schedule_with_handle(GFP_KERNEL, |_| 6 * 7)?;
    pr_info!("handle: {}\n", answer.join()?);

    for ret in [Ok(()), Err(EIO), Err(ENXIO)] {
        domain.schedule(GFP_KERNEL, move |_| ret)?;
    }
    if domain.synchronize_result() == Err(EIO) {
        pr_info!("errors: the first one in cookie order is EIO\n");
    }
    Ok(())
}

/// All of them or none, on the NUMA node of one's choice.
fn many_at_once(domain: &AsyncDomain) -> Result {
    let mut funcs = KVec::new();
    for _ in 0..16 {
        funcs.push(|_: &TaskContext<'_>| (), GFP_KERNEL)?;
    }
    let cookies = domain.on_node(0)?.schedule_batch(GFP_KERNEL, funcs)?;
    let mode = WaitMode::KILLABLE.freezable().timeout(Delta::from_secs(10));

    domain.synchronize_with(mode, ..cookies.end)
}

/// A task that goes on until somebody does not want it any more.
fn taken_back(domain: &AsyncDomain) -> Result {
    let cookie = domain.schedule(GFP_KERNEL, |context| {
        while !context.should_stop() {
            fsleep(Delta::from_millis(1));
        }
        pr_info!("cancel: stopped\n");
    })?;
    fsleep(Delta::from_millis(10));
    if domain.cancel(cookie) == Cancelled::Dropped {
        pr_info!("cancel: never ran\n");
    }
    domain.synchronize(..)
}
