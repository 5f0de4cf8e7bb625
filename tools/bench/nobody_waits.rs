// SPDX-License-Identifier: GPL-2.0

//! Workload c: nobody waits. `n` tasks are submitted, run and end.
//!
//! A task counts down, and the last one takes the time: measured is the time from before the first
//! submission to that. (So the end of the last task, which comes after its function, is missing, on
//! all sides.) A token has no function; its time goes from before the first one begins to after the
//! last one is finished, all of them having been in flight together.
//!
//! Memory that a caller brings is there, and initialised, before the time starts. The workqueue of
//! the bare work items has the flags of that of kernel/async.c.

use crate::{
    countdown::Countdown,
    ffi,
    form::{
        run_job,
        Domain,
        Form,
        Job,
        Kernel, //
    },
    params::Params,
    results::{
        Case,
        Results,
        Sheet, //
    },
    time::{
        now,
        settle, //
    },
};
use async_domain::{
    impl_has_task,
    ItemToken,
    Submit,
    TaskContext,
    TaskHeader,
    TaskItem,
    Token, //
};
use core::{
    mem::size_of,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc, //
};

/// Sizes beyond those of the parameters.
const MORE: [usize; 2] = [5000, 20_000];

pub(crate) fn run(params: &Params, results: &mut Results) -> Result {
    let sizes = params.sizes.iter().map(|&n| n as usize);

    for n in Iterator::chain(sizes, MORE) {
        let case = |side| Case { side, n };

        results.measure(params, case("kernel"), |sheet| {
            functions(&Kernel::new()?, n, sheet)
        })?;
        results.measure(params, case("closure"), |sheet| {
            functions(&Domain::new()?, n, sheet)
        })?;
        results.measure(params, case("item"), |sheet| items(n, sheet))?;
        results.measure(params, case("token"), |sheet| tokens(n, sheet))?;
        results.measure(params, case("item_token"), |sheet| item_tokens(n, sheet))?;
        results.measure(params, case("limit"), |sheet| {
            settle();
            // SAFETY: It may always be called.
            let ns = unsafe { ffi::bench_bare_tokens(n.try_into()?) };
            if ns == 0 {
                return Err(ENOMEM);
            }
            report(sheet, ns, n)
        })?;
        results.measure(params, case("queue_work"), |sheet| {
            work(n, sheet, |queue| {
                // SAFETY: The queue is valid.
                unsafe { ffi::bench_queue_submit(queue) };
                Ok(())
            })?;
            // SAFETY: It may always be called.
            sheet.bytes("bytes_per_task", unsafe { ffi::bench_queue_item_size() })
        })?;
        results.measure(params, case("queue_work_alloc"), |sheet| {
            work(n, sheet, |queue| {
                // SAFETY: The queue is valid.
                to_result(unsafe { ffi::bench_queue_submit_allocated(queue) })
            })
        })?;
    }
    Ok(())
}

fn report(sheet: &mut Sheet<'_>, ns: u64, n: usize) -> Result {
    sheet.ns("ns", ns)?;
    sheet.ns_per("ns_per_task", ns, n)
}

fn functions<F: Form>(form: &F, n: usize, sheet: &mut Sheet<'_>) -> Result {
    let countdown = Countdown::new(n)?;
    settle();
    let start = now();

    let submitted = (0..n).try_for_each(|_| {
        // SAFETY: The form is drained below, while the countdown is valid.
        unsafe { form.schedule(&*countdown) }.map(|_| ())
    });
    if submitted.is_err() {
        form.drain();
        return submitted;
    }
    let end = countdown.end();
    form.drain();
    report(sheet, end - start, n)
}

/// A task in memory of its own.
#[pin_data]
struct Item {
    countdown: Arc<Countdown>,
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Item { self.task }
}

impl TaskItem for Item {
    type Pointer = Arc<Self>;

    #[inline]
    fn run(this: Arc<Self>, _context: &TaskContext<'_>) {
        this.countdown.run();
    }
}

fn item(countdown: &Arc<Countdown>) -> Result<Arc<Item>> {
    let countdown = countdown.clone();
    let init = pin_init!(Item {
        countdown,
        task <- TaskHeader::new(),
    });

    Arc::pin_init(init, GFP_KERNEL)
}

fn items(n: usize, sheet: &mut Sheet<'_>) -> Result {
    let domain = Domain::new()?;
    let countdown = Countdown::new(n)?;
    let mut items = KVVec::with_capacity(n, GFP_KERNEL)?;
    // The references that are given away. The items outlive them.
    let mut given = KVVec::with_capacity(n, GFP_KERNEL)?;

    for _ in 0..n {
        let item = item(&countdown)?;

        given.push(item.clone(), GFP_KERNEL)?;
        items.push(item, GFP_KERNEL)?;
    }
    settle();
    let start = now();
    for item in given {
        domain.0.submit(item)?;
    }
    let end = countdown.end();
    domain.drain();

    sheet.bytes("bytes_per_task", size_of::<TaskHeader<Item>>())?;
    report(sheet, end - start, n)
}

fn tokens(n: usize, sheet: &mut Sheet<'_>) -> Result {
    let domain = Domain::new()?;
    let mut tokens = KVVec::with_capacity(n, GFP_KERNEL)?;

    settle();
    let start = now();
    for _ in 0..n {
        tokens.push(domain.0.begin(GFP_KERNEL)?, GFP_KERNEL)?;
    }
    for token in tokens.drain_all() {
        Token::finish(token);
    }
    report(sheet, now() - start, n)
}

/// Tokens in memory that the caller brings.
fn item_tokens(n: usize, sheet: &mut Sheet<'_>) -> Result {
    let domain = Domain::new()?;
    let countdown = Countdown::new(n)?;
    let mut items = KVVec::with_capacity(n, GFP_KERNEL)?;
    let mut tokens = KVVec::with_capacity(n, GFP_KERNEL)?;

    for _ in 0..n {
        items.push(item(&countdown)?, GFP_KERNEL)?;
    }
    // The references that are given away. The items outlive them.
    let mut given = KVVec::with_capacity(n, GFP_KERNEL)?;
    for item in &items {
        given.push(item.clone(), GFP_KERNEL)?;
    }

    settle();
    let start = now();
    for item in given {
        let _ = tokens.push_within_capacity(domain.0.begin_item(item)?);
    }
    for token in tokens.drain_all() {
        ItemToken::finish(token);
    }
    report(sheet, now() - start, n)
}

/// Bare work items in C.
fn work(
    n: usize,
    sheet: &mut Sheet<'_>,
    submit: impl FnOnce(*mut ffi::bench_queue) -> Result,
) -> Result {
    let countdown = Countdown::new(n)?;
    let data = ptr::from_ref(&*countdown).cast_mut().cast();
    // SAFETY: The function expects a reference to a countdown, which is valid until the queue has
    // been destroyed.
    let queue = unsafe { ffi::bench_queue_create(n.try_into()?, Some(run_job::<Countdown>), data) };
    let queue = NonNull::new(queue).ok_or(ENOMEM)?.as_ptr();

    settle();
    let start = now();
    let ret = submit(queue).map(|()| countdown.end());
    // SAFETY: The queue was created above.
    unsafe { ffi::bench_queue_destroy(queue) };
    report(sheet, ret? - start, n)
}
