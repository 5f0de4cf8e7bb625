// SPDX-License-Identifier: GPL-2.0

//! Runners: what a domain puts on the workqueue, on behalf of all tasks that stand in line.
//!
//! A work item for each task would cost more than most tasks do: the workqueue's lock, twice, and a
//! wake-up of a worker. So a domain has at most one item on the queue at a time, its *runner*. The
//! worker that begins with it takes the first task in line, and at once puts the next runner on the
//! queue if there are more; so they all run in parallel if they take their time. When a task has
//! finished, its worker takes the next one in line, under the same hold of the domain's lock, and with
//! tasks that are short one worker serves the whole line.
//!
//! # Rules
//!
//! - A domain has a runner on the queue if and only if somebody stands in line. So there is an
//!   unfinished task, and the domain is there, when a worker begins with the runner.
//! - A worker that has finished a task leaves the last one in line to the runner that is on the queue.
//! - All tasks that have been begun have lower cookies than those in line. So the lowest unfinished task
//!   is running, or is what the next worker that gets to the line begins with.
//!
//! Runners are static, so that nothing is allocated: as many as there are places on the workqueue, and
//! some for domains that wait for a place. If more wait than that, then what stands in line is queued by
//! its own work items, all of it at once, and the last rule does not hold for these.

use super::{
    pending::Node,
    task::{
        Place,
        Task, //
    },
    AsyncDomain,
    State, //
};
use crate::{
    ffi,
    queue, //
};
use core::{
    cell::Cell,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    container_of,
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Relaxed,
            Release, //
        },
        Atomic, //
    },
    types::Opaque, //
};

/// How many runners there are, for workers and for domains that wait for one.
// CAST: A small positive number.
const RUNNERS: usize = queue::MAX_ACTIVE as usize + 256;

/// A work item that stands for the line of a domain.
///
/// # Invariants
///
/// `domain` is touched by who has taken the runner out of [`FREE`], until the item is queued, and then by
/// the worker that begins with it or by who has taken it off the queue.
#[repr(C)]
pub(super) struct Runner {
    work: Opaque<ffi::work_struct>,
    domain: Cell<*const AsyncDomain>,
    /// For one that is free: the number of the next one that is.
    next: Atomic<u32>,
}

// SAFETY: By the type invariant.
unsafe impl Sync for Runner {}

static TABLE: [Runner; RUNNERS] = {
    let mut table = [const {
        Runner {
            work: Opaque::uninit(),
            domain: Cell::new(ptr::null()),
            next: Atomic::new(NONE),
        }
    }; RUNNERS];
    let mut i = 1;

    while i < RUNNERS {
        // CAST: A small number.
        table[i].next = Atomic::new(i as u32 - 1);
        i += 1;
    }
    table
};

/// Stands for no runner.
const NONE: u32 = u32::MAX;

/// The free runners, a stack: the number of the first one in the lower half, and in the upper half a
/// number that each removal changes, so that who was slow to look at the first one notices.
// CAST: A small number.
static FREE: Atomic<u64> = Atomic::new(RUNNERS as u64 - 1);

impl Runner {
    fn get() -> Option<&'static Self> {
        let mut free = FREE.load(Acquire);

        loop {
            // CAST: The lower half.
            let runner = TABLE.get(free as u32 as usize)?;
            // It may have been taken meanwhile; then the exchange fails.
            let next = u64::from(runner.next.load(Relaxed));
            let removals = (free >> 32).wrapping_add(1) << 32;

            // Acquire: what its last user has done to it is done.
            match FREE.cmpxchg(free, removals | next, Acquire) {
                Ok(_) => return Some(runner),
                // Not what the exchange has found: failing, it acquires nothing.
                Err(_) => free = FREE.load(Acquire),
            }
        }
    }

    /// Gives a runner back. It may be used again before this returns.
    fn put(&'static self) {
        // SAFETY: Both are in the table, which is one allocation.
        // CAST: The difference is less than the number of runners.
        let number = unsafe { ptr::from_ref(self).offset_from(TABLE.as_ptr()) } as u64;
        let mut free = FREE.load(Relaxed);

        loop {
            // CAST: The lower half.
            self.next.store(free as u32, Relaxed);
            match FREE.cmpxchg(free, (free >> 32 << 32) | number, Release) {
                Ok(_) => return,
                Err(other) => free = other,
            }
        }
    }

    fn work(&self) -> *mut ffi::work_struct {
        Opaque::cast_into(&raw const self.work)
    }
}

impl State {
    /// Queues the task that was appended last: it stands in line, or, if it is to run on some node, is
    /// queued by itself.
    ///
    /// # Safety
    ///
    /// As [`Task::enqueue`]; the task must be the one that was appended last.
    #[inline]
    pub(super) unsafe fn enqueue(
        &mut self,
        domain: *const AsyncDomain,
        task: NonNull<Task>,
        place: c_int,
    ) {
        if place != ffi::NUMA_NO_NODE {
            // SAFETY: By the caller's promise.
            return unsafe { Task::enqueue(task, place) };
        }
        self.pending.line_up();
        if self.runner.is_none() {
            self.call_worker(domain);
        }
    }

    /// Puts a runner on the queue, if somebody stands in line and there is none.
    fn call_worker(&mut self, domain: *const AsyncDomain) {
        if self.pending.in_line() == 0 || self.runner.is_some() {
            return;
        }
        if let Some(runner) = Runner::get() {
            // INVARIANT: We have just taken it.
            runner.domain.set(domain);
            self.runner = Some(runner);
            // SAFETY: The item is ours, static, and not queued: its last worker has begun with it, or
            // it was taken off the queue.
            unsafe {
                ffi::init_work::<Runner>(runner.work());
                queue::enqueue(runner.work(), ffi::NUMA_NO_NODE);
            }
            return;
        }
        while let Some(node) = self.pending.next_in_line() {
            // SAFETY: Who stands in line is a task, which is prepared, in the order, and not queued.
            unsafe {
                self.pending.leave_line(node);
                Task::enqueue(node.cast(), ffi::NUMA_NO_NODE);
            }
        }
    }

    /// A worker takes the first task in line. If the task's memory is the caller's, then its place in the
    /// order moves to `spare`.
    ///
    /// # Safety
    ///
    /// Somebody must stand in line. `spare` must be the node of a valid [`Place`], in no list, and stay
    /// where it is until the task has finished.
    #[inline]
    unsafe fn begin(&mut self, node: NonNull<Node>, spare: *mut Node) -> NonNull<Task> {
        let task: NonNull<Task> = node.cast();

        // SAFETY: Who stands in line is a task, and in the list; by the caller's promise.
        unsafe {
            self.pending.leave_line(node);
            if (*task.as_ptr()).ops.callers_memory {
                (*spare.cast::<Place>()).ops.set(Some((*task.as_ptr()).ops));
                self.pending.replace(node.as_ptr(), spare);
            }
        }
        task
    }

    /// A worker that has finished a task takes the next one, unless that is the last in line.
    ///
    /// # Safety
    ///
    /// As above, for `spare`, unless that is null: then nothing is taken.
    #[inline(always)]
    pub(super) unsafe fn take_next(&mut self, spare: *mut Node) -> Option<NonNull<Task>> {
        if spare.is_null() || self.pending.in_line() < 2 {
            return None;
        }
        let node = self.pending.next_in_line()?;

        // SAFETY: It stands in line; by the caller's promise.
        Some(unsafe { self.begin(node, spare) })
    }

    /// Takes a task out of the line, for somebody who cancels it; `false` if a worker has begun with it.
    ///
    /// # Safety
    ///
    /// The node must be in the order, and in line.
    pub(super) unsafe fn take_back(&mut self, node: NonNull<Node>) -> bool {
        if self.pending.in_line() == 1 {
            if let Some(runner) = self.runner {
                // SAFETY: The item was queued, and is static; the lock keeps others from cancelling it.
                if !unsafe { queue::cancel(runner.work()) } {
                    // A worker has begun with the runner, and will take this one.
                    return false;
                }
                self.runner = None;
                runner.put();
            }
        }
        // SAFETY: By the caller's promise.
        unsafe { self.pending.leave_line(node) };
        true
    }
}

// SAFETY: The item is static.
unsafe impl ffi::WorkFunction for Runner {
    unsafe fn run(work: *mut ffi::work_struct) {
        // SAFETY: Work items with this function are in a `Runner`, all of which are static.
        let runner: &'static Runner = unsafe {
            let work: *mut Opaque<ffi::work_struct> = work.cast();
            &*container_of!(work, Runner, work)
        };
        let domain = runner.domain.get();
        let mut spare = Place::new();
        let spare = spare.node();

        // SAFETY: While the runner is on the queue, somebody stands in line: the domain is there.
        let task = unsafe { &*domain }.queue.with(|state| {
            state.runner = None;
            let node = state.pending.next_in_line()?;
            // SAFETY: It stands in line; the spare node stays in this frame until all tasks that this
            // worker begins with have finished.
            let task = unsafe { state.begin(node, spare) };

            state.call_worker(domain);
            Some(task)
        });
        if let Some(task) = task {
            // SAFETY: We have just begun with it. We are a worker.
            unsafe { Task::serve(task, spare) };
        }
        runner.put();
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_runner)]
mod tests {
    use super::*;
    use crate::kunit::{
        self,
        eventually,
        Gate, //
    };
    use kernel::sync::Arc;

    fn domain() -> Result<Arc<AsyncDomain>> {
        Arc::pin_init(crate::new_async_domain!("kunit"), GFP_KERNEL)
    }

    fn counter() -> Result<Arc<Atomic<i32>>> {
        Ok(Arc::new(Atomic::new(0), GFP_KERNEL)?)
    }

    /// Takes all runners that are free.
    fn take_all() -> Result<KVec<&'static Runner>> {
        let mut taken = KVec::with_capacity(RUNNERS, GFP_KERNEL)?;

        while let Some(runner) = Runner::get() {
            taken.push(runner, GFP_KERNEL)?;
        }
        Ok(taken)
    }

    #[test]
    fn tasks_that_block_do_not_keep_others_from_running() -> Result {
        const N: i32 = 64;
        let (domain, gate, running) = (domain()?, Gate::new()?, counter()?);

        for _ in 0..N {
            let (g, r) = (gate.clone(), running.clone());
            domain.schedule(
                move |_| {
                    r.add(1, Relaxed);
                    g.wait();
                },
                GFP_KERNEL,
            )?;
        }
        assert!(eventually(|| running.load(Relaxed) == N));
        gate.open();
        domain.synchronize_full()
    }

    #[test]
    fn the_last_in_line_takes_the_runner_off_the_queue() -> Result {
        let (domain, calls) = (domain()?, counter()?);
        let free = || -> Result<usize> {
            let taken = take_all()?;
            let free = taken.len();
            for runner in taken {
                runner.put();
            }
            Ok(free)
        };

        kunit::with_full_queue(|| {
            let before = free()?;
            for _ in 0..10 {
                let c = calls.clone();
                domain.schedule(move |_| c.add(1, Relaxed), GFP_KERNEL)?;
            }
            assert_eq!(free()?, before - 1);
            assert_eq!(domain.cancel_all(), 10);
            assert_eq!(free()?, before);

            // The next one in line calls a worker again.
            let c = calls.clone();
            domain.schedule(move |_| c.add(1, Relaxed), GFP_KERNEL)?;
            assert_eq!(free()?, before - 1);
            Ok(())
        })?;
        domain.synchronize_full()?;
        assert_eq!(calls.load(Relaxed), 1);
        // A worker gives its runner back at last.
        assert!(eventually(|| free() == Ok(RUNNERS)));
        Ok(())
    }

    #[test]
    fn without_a_runner_tasks_are_queued_by_themselves() -> Result {
        const N: i32 = 100;
        let (domain, done, retired) = (domain()?, counter()?, counter()?);
        let taken = take_all()?;

        for _ in 0..N {
            let (d, r) = (done.clone(), retired.clone());
            domain.schedule_ordered(
                move |_| d.add(1, Relaxed),
                move |(), _| r.add(1, Relaxed),
                GFP_KERNEL,
            )?;
        }
        let ret = domain.synchronize_full();

        for runner in taken {
            runner.put();
        }
        ret?;
        assert_eq!((done.load(Relaxed), retired.load(Relaxed)), (N, N));
        Ok(())
    }
}
