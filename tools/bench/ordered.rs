// SPDX-License-Identifier: GPL-2.0

//! Workload f: each task has a part that runs in parallel, and a part at its end that runs in order.
//!
//! The first of `n` tasks is the slowest: its parallel part ends when those of all others have ended.
//! Measured is the time from before the first submission until the last part in order has been
//! reached, and `workers_peak`, how many functions were running (or asleep) at the same time at most.
//!
//! The sides: `kernel` calls `async_synchronize_cookie_domain()` between the two parts, `domain`
//! `TaskContext::synchronize`, and `ordered` gives the two parts to `schedule_ordered`.

use crate::{
    countdown::Countdown,
    ffi,
    form::{
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
use async_domain::Submit;
use core::ptr;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Full,
                Relaxed, //
            },
            Atomic, //
        },
        Arc,
        Completion, //
    },
};

/// Tasks that sleep hold a worker each. Beyond what the kernel allows for, the first one would wait
/// for others that never start.
const ASLEEP_MAX: usize = 1000;

pub(crate) fn run(params: &Params, results: &mut Results) -> Result {
    for n in params.sizes.iter().map(|&n| n as usize) {
        let case = |side| Case { side, n };

        if n > ASLEEP_MAX {
            results.skip(case("kernel"), "each task holds a worker");
            results.skip(case("domain"), "each task holds a worker");
        } else {
            results.measure(params, case("kernel"), |sheet| kernel(n, sheet))?;
            results.measure(params, case("domain"), |sheet| {
                with_domain(n, sheet, |domain, work, i| {
                    domain.0.schedule(GFP_KERNEL, move |context| {
                        work.running(|| {
                            work.parallel(i);
                            let _ = context.synchronize();
                            work.in_order();
                        })
                    })?;
                    Ok(())
                })
            })?;
        }
        results.measure(params, case("ordered"), |sheet| {
            with_domain(n, sheet, |domain, work, i| {
                let again = work.clone();

                domain.0.schedule_ordered(
                    GFP_KERNEL,
                    move |_| work.running(|| work.parallel(i)),
                    move |(), _| again.running(|| again.in_order()),
                )?;
                Ok(())
            })
        })?;
    }
    Ok(())
}

/// What the tasks share.
#[pin_data]
struct Work {
    /// Parallel parts, but for the first task's, that have not ended.
    left: Atomic<usize>,
    #[pin]
    first: Completion,
    running: Atomic<usize>,
    peak: Atomic<usize>,
    ended: Arc<Countdown>,
}

impl Work {
    fn new(n: usize) -> Result<Arc<Self>> {
        let ended = Countdown::new(n)?;

        Arc::pin_init(
            pin_init!(Self {
                left: Atomic::new(n),
                first <- Completion::new(),
                running: Atomic::new(0),
                peak: Atomic::new(0),
                ended,
            }),
            GFP_KERNEL,
        )
    }

    fn parallel(&self, i: usize) {
        if self.left.fetch_sub(1, Full) == 1 {
            self.first.complete_all();
        }
        if i == 0 {
            self.first.wait_for_completion();
        }
    }

    fn in_order(&self) {
        self.ended.run();
    }

    /// Runs a function, and counts how many are running.
    fn running(&self, f: impl FnOnce()) {
        let running = self.running.fetch_add(1, Relaxed) + 1;
        let mut peak = self.peak.load(Relaxed);

        while running > peak {
            match self.peak.cmpxchg(peak, running, Relaxed) {
                Ok(_) => break,
                Err(now) => peak = now,
            }
        }
        f();
        self.running.fetch_sub(1, Relaxed);
    }

    /// The tasks are submitted between `start` and this.
    fn report(&self, start: u64, n: usize, sheet: &mut Sheet<'_>) -> Result {
        let ns = self.ended.end() - start;

        sheet.ns("ns", ns)?;
        sheet.ns_per("ns_per_task", ns, n)?;
        // CAST: `usize` is at most 64 bits wide.
        sheet.count("workers_peak", self.peak.load(Relaxed) as u64)
    }
}

fn with_domain(
    n: usize,
    sheet: &mut Sheet<'_>,
    submit: impl Fn(&Domain, Arc<Work>, usize) -> Result,
) -> Result {
    let domain = Domain::new()?;
    let work = Work::new(n)?;

    settle();
    let start = now();
    for i in 0..n {
        submit(&domain, work.clone(), i).inspect_err(|_| work.first.complete_all())?;
    }
    work.report(start, n, sheet)
}

/// What a task of the kernel's side is given.
struct Task {
    work: Arc<Work>,
    domain: *mut ffi::async_domain,
    i: usize,
}

fn kernel(n: usize, sheet: &mut Sheet<'_>) -> Result {
    let domain = Kernel::new()?;
    let work = Work::new(n)?;
    let mut tasks = KVVec::with_capacity(n, GFP_KERNEL)?;

    for i in 0..n {
        let task = Task {
            work: work.clone(),
            domain: domain.raw(),
            i,
        };
        tasks.push(task, GFP_KERNEL)?;
    }
    settle();
    let start = now();
    for task in &tasks {
        let data = ptr::from_ref(task).cast_mut().cast();

        // SAFETY: The function expects a reference to the task, which is valid until the domain has
        // been drained below.
        unsafe {
            ffi::async_schedule_node_domain(
                Some(kernel_task),
                data,
                ffi::NUMA_NO_NODE,
                domain.raw(),
            )
        };
    }
    let ret = work.report(start, n, sheet);
    domain.drain();
    ret
}

/// # Safety
///
/// `data` must be a reference to a [`Task`] of the domain in it.
unsafe extern "C" fn kernel_task(data: *mut c_void, cookie: u64) {
    // SAFETY: By the caller's promise.
    let Task { work, domain, i } = unsafe { &*data.cast::<Task>() };

    work.running(|| {
        work.parallel(*i);
        // SAFETY: The domain is valid: this is one of its tasks.
        unsafe { ffi::async_synchronize_cookie_domain(cookie, *domain) };
        work.in_order();
    });
}
