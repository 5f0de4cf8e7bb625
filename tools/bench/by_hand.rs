// SPDX-License-Identifier: GPL-2.0

//! Workload i: the wake path of a sorted wait queue in Rust, and the same written by hand in C.
//!
//! `n` threads wait for the numbers from 1 to `n`. Wake-ups raise the number by `k` at a time, so that
//! each wakes `k` waiters and looks at one more. Only the wake-ups are measured: their thread and the
//! waiters are on one CPU, where none of them can run before the last wake-up. With `k` of 0 each
//! wake-up looks at the first waiter and leaves it.
//!
//! The metric `ns_per_wake_K` is the time of one wake-up of `K` waiters (of all, for `all`).

use crate::{
    ffi,
    params::Params,
    results::{
        Case,
        Results,
        Sheet, //
    },
    team::Team,
    time::now,
};
use async_domain::{
    new_wait_queue,
    wait::{
        Filter,
        Sorted,
        Verdict,
        WaitQueue, //
    },
    WaitMode, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// Where wakers and waiters run.
const CPU: i32 = 0;

pub(crate) fn run(params: &Params, results: &mut Results) -> Result {
    let _pinned = Pinned::to(CPU)?;

    for n in params.sizes.iter().map(|&n| n as usize) {
        let case = |side| Case { side, n };

        results.measure(params, case("c"), |sheet| all(&C::new()?, n, sheet))?;
        results.measure(params, case("rust"), |sheet| {
            let rust = KBox::pin_init(new_wait_queue!(0), GFP_KERNEL)?;
            all::<Rust>(&rust, n, sheet)
        })?;
    }
    Ok(())
}

/// Where threads wait for a number to be reached.
trait Staircase: Sync {
    fn wait(&self, target: u64);
    fn wake(&self, reached: u64);
    /// Begins again.
    fn reset(&self) {
        self.wake(0);
    }
}

fn all<S: Staircase>(stairs: &S, n: usize, sheet: &mut Sheet<'_>) -> Result {
    sheet.ns_per("ns_per_wake_0", wakes(stairs, n, 0)?, n)?;
    sheet.ns_per("ns_per_wake_1", wakes(stairs, n, 1)?, n)?;
    if n > 16 {
        sheet.ns_per("ns_per_wake_16", wakes(stairs, n, 16)?, n.div_ceil(16))?;
    }
    sheet.ns_per("ns_per_wake_all", wakes(stairs, n, n)?, 1)
}

/// The time of all wake-ups with steps of `k`; of `n` wake-ups if it is 0.
fn wakes<S: Staircase>(stairs: &S, n: usize, k: usize) -> Result<u64> {
    stairs.reset();
    Team::with(n, Some(CPU), &|i| stairs.wait(i as u64 + 1), |team| {
        let ns = without_preemption(|| {
            let start = now();

            if k == 0 {
                for _ in 0..n {
                    stairs.wake(0);
                }
            } else {
                let mut reached = 0;
                while reached < n {
                    reached = core::cmp::min(reached + k, n);
                    stairs.wake(reached as u64);
                }
            }
            now() - start
        });
        stairs.wake(n as u64);
        team.wait_released();
        ns
    })
}

/// Sorted waiters, as Rust users write them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AtLeast(u64);

impl Filter for AtLeast {
    type Event = u64;
    type Order = Sorted;

    #[inline]
    fn judge(&self, reached: &mut u64) -> Verdict<Sorted> {
        Verdict::wake_or_stop(*reached >= self.0)
    }
}

type Rust = WaitQueue<u64, AtLeast>;

impl Staircase for Rust {
    fn wait(&self, target: u64) {
        let Ok(()) = WaitQueue::wait(self, WaitMode::UNINTERRUPTIBLE, |reached| {
            Ok((**reached < target).then_some(AtLeast(target)))
        });
    }

    fn wake(&self, mut reached: u64) {
        self.with(|queue| {
            **queue = reached;
            queue.wake(&mut reached);
        });
    }
}

/// See `staircase.c`.
struct C(NonNull<ffi::bench_staircase>);

// SAFETY: The queue has a lock.
unsafe impl Sync for C {}

impl C {
    fn new() -> Result<Self> {
        // SAFETY: It may always be called.
        let staircase = NonNull::new(unsafe { ffi::bench_staircase_create() });

        Ok(Self(staircase.ok_or(ENOMEM)?))
    }
}

impl Staircase for C {
    fn wait(&self, target: u64) {
        // SAFETY: The queue is valid.
        unsafe { ffi::bench_staircase_wait(self.0.as_ptr(), target) };
    }

    fn wake(&self, reached: u64) {
        // SAFETY: The queue is valid.
        unsafe { ffi::bench_staircase_wake(self.0.as_ptr(), reached) };
    }
}

impl Drop for C {
    fn drop(&mut self) {
        // SAFETY: The queue was created by `new`, and there are no waiters, which would borrow it.
        unsafe { ffi::bench_staircase_destroy(self.0.as_ptr()) };
    }
}

/// Runs `f` with preemption off.
fn without_preemption<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: It may always be called.
    unsafe { ffi::bench_preempt_disable() };
    let ret = f();
    // SAFETY: It was disabled above.
    unsafe { ffi::bench_preempt_enable() };
    ret
}

/// The thread stays on one CPU as long as this is there.
struct Pinned(());

impl Pinned {
    fn to(cpu: i32) -> Result<Self> {
        // SAFETY: It concerns the current thread only. The first CPU is always there.
        to_result(unsafe { ffi::bench_pin_to_cpu(cpu) })?;
        Ok(Self(()))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: It concerns the current thread only.
        unsafe { ffi::bench_unpin() };
    }
}
