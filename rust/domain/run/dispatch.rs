// SPDX-License-Identifier: GPL-2.0

//! How queued tasks are shared out to workers.
//!
//! A work item for each task would cost more than most tasks do: the workqueue's lock, twice, and a
//! wake-up of a worker. So a domain has at most one item on the workqueue at a time, its
//! [dispatcher](super::dispatcher), on behalf of all its queued tasks. The worker that begins with it takes
//! the first queued task, and at once puts the next dispatcher on the workqueue if there are more; so they
//! all run in parallel if they take their time. When a task has finished, its worker takes the next one,
//! under the same hold of the domain's lock, and with tasks that are short one worker serves a whole queue.
//! After [`BATCH`] tasks it makes room for others.
//!
//! The dispatcher goes to the NUMA node for which the first queued task is. A worker that finds the first
//! task to be for another node begins with none, and puts the next dispatcher on the workqueue, for that
//! node.
//!
//! # Rules
//!
//! - A domain has a dispatcher on the workqueue, or waits for one, if and only if it has queued tasks. So
//!   there is an unfinished task, and the domain is there, when a worker begins with the dispatcher.
//! - A worker that has finished a task leaves the last queued one to the dispatcher.
//! - The tasks of a domain begin in cookie order, on whatever nodes.
//!
//! # Exhaustion
//!
//! A running task holds a place on the workqueue and a dispatcher, and both may run out: each node has a
//! share of the places, and the dispatchers are for all. By the third rule all tasks that a running task may
//! wait for, the earlier ones of its domain, have begun. So the lowest running task of a domain waits for
//! none of them, and finishes; then so does the next one. Each place becomes free in the end, whatever is
//! queued behind it. So does each dispatcher: a worker has it, or it is on the workqueue and gets a place.
//! This holds for each domain by itself, and for any number of places, on each node, and of dispatchers.

use super::{
    finish::Followup,
    task::Thread, //
};
use crate::{
    domain::core::{
        dispatcher::Dispatcher,
        domain::NO_DISPATCHER,
        header::{
            Owned,
            Retirement,
            Task,
            ToRun, //
        },
        order::Next,
        queue::Server,
        running::Worker, //
    },
    ffi, //
};
use core::ptr::NonNull;

// SAFETY: The item is static.
// Tested by: mutant begun-with-last, model dispatcher-queue.
unsafe impl ffi::WorkFunction for Dispatcher {
    type Item = Self;

    // Tested by: mutant closure-leaked-on-cancel, kunit shuffled_tasks_retire_in_order.
    unsafe fn run(this: NonNull<Self>) {
        // SAFETY: All dispatchers are static.
        let dispatcher: &'static Self = unsafe { this.as_ref() };
        let (domain, nid) = dispatcher.begun();
        let server = Server::new(nid);

        // SAFETY: While the dispatcher is on the workqueue there are queued tasks, and nobody dequeues the
        // last one once we have begun: the domain is there.
        let domain = unsafe { &*domain };
        let task = domain.queue.with(|state| {
            state.dispatcher = NO_DISPATCHER;
            // SAFETY: The server is new, and stays in this frame until all tasks that this worker begins with have
            // finished.
            let task = unsafe { state.begin(&server) };

            state.call_dispatcher(domain);
            task
        });
        if let Some(task) = task {
            // SAFETY: We have just begun with it. We are a worker.
            unsafe { Task::serve(task, &server) };
        }
        dispatcher.put();
    }
}

impl Task {
    /// Does what a worker has to do next, one task after the other, so that the depth of the stack does
    /// not depend on their number.
    ///
    /// # Safety
    ///
    /// It must not be the task whose work item the worker runs. If there is a `server`, then it must be that of this
    /// thread, which has begun with the task if it is to be run.
    // Tested by: mutant own-memory-freed-before-retiring, model dispatcher-ordered.
    unsafe fn go_on(mut next: Next, worker: &Worker, server: Option<&Server>) {
        loop {
            // SAFETY: A task that is to be run was begun with for the server, which is that of this thread.
            let left = unsafe {
                match next {
                    Next::Run(task) => Self::execute(task, Thread::Worker(worker), server),
                    Next::Retire(task) => Self::retire(task, worker, server),
                    Next::Nothing => return,
                }
            };

            left.memory.free();
            next = left.next;
            ffi::cond_resched();
        }
    }

    /// Runs a task, and then others of its domain as long as the server takes them.
    ///
    /// # Safety
    ///
    /// The caller must be a worker that is inside no task, and whose work item is in nobody's memory. `server` must be
    /// that of this thread, which has begun with the task.
    // Tested by: mutant own-memory-freed-before-retiring, model dispatcher-ordered.
    pub(crate) unsafe fn serve(task: Owned<ToRun>, server: &Server) {
        // SAFETY: The caller has begun with the task for this server, and runs no work item of a task.
        unsafe { Self::go_on(Next::Run(task), &Worker::new(), Some(server)) }
    }
}

// SAFETY: `run` does not touch the work item after it may have been freed.
// Tested by: kunit tasks_run_where_they_were_asked_to, kunit an_item_submits_itself_again.
unsafe impl ffi::WorkFunction for Retirement {
    type Item = Task;

    // Tested by: kunit tasks_run_where_they_were_asked_to, kunit an_item_submits_itself_again.
    unsafe fn run(task: NonNull<Task>) {
        // The workqueue tells by the address and function of an item what this worker is running, until we
        // return: another task at the same address would be left to this worker, and what we retire from here on
        // may wait for that task. So the memory is freed last.
        //
        // SAFETY: The task is in the order of its domain, and was
        // queued by a thread that was given it to be retired, and has given it up. We are a worker, inside no task.
        unsafe {
            let worker = Worker::new();

            Task::retire(Owned::new(task), &worker, None).go_on(&worker);
        }
    }
}

#[cfg(CONFIG_PREEMPT_RT)]
// SAFETY: `run` does not touch the work item after it may have been freed.
// Tested by: kunit tasks_run_where_they_were_asked_to, kunit an_item_submits_itself_again.
unsafe impl ffi::WorkFunction for crate::domain::core::header::DeferredToken {
    type Item = Task;

    // Tested by: kunit tasks_run_where_they_were_asked_to, kunit an_item_submits_itself_again.
    unsafe fn run(task: NonNull<Task>) {
        // SAFETY: The task is that of a token, which is not used any more.
        Task::discard(unsafe { Owned::new(task) })
    }
}

impl Followup {
    /// Does what is left, for a worker that runs the work item of the task, whose memory is freed last.
    ///
    /// # Safety
    ///
    /// Nothing must have been begun for the caller, which is the worker.
    // Tested by: mutant own-memory-freed-before-retiring, model dispatcher-ordered.
    unsafe fn go_on(self, worker: &Worker) {
        // SAFETY: Without a server no task is begun with, and a task that is retired here comes after that one in the
        // order.
        unsafe { Task::go_on(self.next, worker, None) };
        self.memory.free();
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kernel::prelude::kunit_tests(async_domain_dispatch)]
mod tests {
    use super::*;
    use crate::{
        domain::core::{
            dispatcher::DISPATCHERS,
            domain::AsyncDomain,
            queue::BATCH, //
        },
        impl_has_task,
        kunit::{
            self,
            eventually,
            settle,
            Gate, //
        },
        OwnedDomain,
        Submit,
        TaskContext,
        TaskHeader,
        TaskItem,
        WaitMode, //
    };
    use kernel::{
        prelude::*,
        sync::{
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc, //
        },
        time::Delta,
        types::ScopeGuard, //
    };

    fn domain() -> Result<Arc<OwnedDomain>> {
        let domain = crate::new_async_domain!("kunit", exclusive, GFP_KERNEL)?;
        Ok(Arc::new(domain, GFP_KERNEL)?)
    }

    fn counter() -> Result<Arc<Atomic<i32>>> {
        Ok(Arc::new(Atomic::new(0), GFP_KERNEL)?)
    }

    /// Long enough for what does not hang.
    fn in_time() -> WaitMode {
        WaitMode::UNINTERRUPTIBLE.timeout(Delta::from_millis(60_000))
    }

    /// Waits until a domain is empty; leaks it if it hangs, for whose sake dropping it would hang, too.
    fn drain(domain: Arc<OwnedDomain>) -> Result {
        domain.synchronize_with(in_time(), ..).inspect_err(|_| {
            core::mem::forget(domain.clone());
        })
    }

    /// Takes the dispatchers that are free.
    fn take_free() -> Result<KVec<&'static Dispatcher>> {
        let mut taken = KVec::with_capacity(DISPATCHERS, GFP_KERNEL)?;

        while let Some(dispatcher) = Dispatcher::get() {
            taken.push(dispatcher, GFP_KERNEL)?;
        }
        Ok(taken)
    }

    fn free() -> Result<usize> {
        let taken = take_free()?;
        let free = taken.len();

        for dispatcher in taken {
            dispatcher.put();
        }
        Ok(free)
    }

    /// Takes all dispatchers, when the workers of what has run before have given theirs back.
    fn take_all() -> Result<KVec<&'static Dispatcher>> {
        assert!(eventually(|| free() == Ok(DISPATCHERS)));
        take_free()
    }

    /// Runs `f` while there are so many dispatchers.
    fn with_dispatchers<R>(count: usize, f: impl FnOnce() -> Result<R>) -> Result<R> {
        let taken = take_all()?;
        let (free, taken) = taken.split_at_checked(count).ok_or(EBUSY)?;

        for dispatcher in free {
            dispatcher.put();
        }
        let _end = ScopeGuard::new(|| taken.iter().for_each(|dispatcher| dispatcher.put()));
        f()
    }

    #[test]
    fn tasks_that_block_do_not_keep_others_from_running() -> Result {
        const N: i32 = 64;
        let (domain, gate, running) = (domain()?, Gate::new()?, counter()?);

        for _ in 0..N {
            let (g, r) = (gate.clone(), running.clone());
            domain.schedule(GFP_KERNEL, move |_| {
                r.add(1, Relaxed);
                g.wait();
            })?;
        }
        assert!(eventually(|| running.load(Relaxed) == N));
        gate.open();
        domain.synchronize(..)
    }

    #[test]
    fn a_worker_makes_room_for_other_domains() -> Result {
        // CAST: A small number.
        const N: i32 = 4 * BATCH as i32;
        let (domain, other, done) = (domain()?, domain()?, counter()?);
        let (gate, begun) = (Gate::new()?, Gate::new()?);
        let (g, b) = (gate.clone(), begun.clone());

        let seen = kunit::with_places(1, || {
            domain.schedule(GFP_KERNEL, move |_| {
                b.open();
                g.wait();
            })?;
            begun.wait();
            for _ in 0..N {
                let d = done.clone();
                domain.schedule(GFP_KERNEL, move |_| d.add(1, Relaxed))?;
            }
            let d = done.clone();
            let seen = other.schedule_with_handle(GFP_KERNEL, move |_| d.load(Relaxed))?;
            gate.open();
            seen.join()
        })?;
        domain.synchronize(..)?;
        assert_eq!(done.load(Relaxed), N);
        assert!(seen < N);
        Ok(())
    }

    #[test]
    fn the_last_queued_task_takes_the_dispatcher_off_the_workqueue() -> Result {
        let (domain, calls) = (domain()?, counter()?);

        kunit::with_full_queue(|| {
            let before = free()?;
            for _ in 0..10 {
                let c = calls.clone();
                domain.schedule(GFP_KERNEL, move |_| c.add(1, Relaxed))?;
            }
            assert_eq!(free()?, before - 1);
            assert_eq!(domain.cancel_all(), 10);
            assert_eq!(free()?, before);

            // The next one calls a dispatcher again.
            let c = calls.clone();
            domain.schedule(GFP_KERNEL, move |_| c.add(1, Relaxed))?;
            assert_eq!(free()?, before - 1);
            Ok(())
        })?;
        domain.synchronize(..)?;
        assert_eq!(calls.load(Relaxed), 1);
        // A worker gives its dispatcher back at last.
        assert!(eventually(|| free() == Ok(DISPATCHERS)));
        Ok(())
    }

    /// Tasks that wait for all earlier ones, for nodes one after the other, and for none.
    fn schedule_waiting(domain: &AsyncDomain, count: i32, done: &Arc<Atomic<i32>>) -> Result {
        for i in 0..count {
            let d = done.clone();
            let wait = move |context: &TaskContext<'_>| {
                if context.synchronize().is_ok() {
                    d.add(1, Relaxed);
                }
            };
            match i % 3 {
                0 => domain.schedule(GFP_KERNEL, wait)?,
                _ => domain
                    .on_node(i % kunit::nodes())?
                    .schedule(GFP_KERNEL, wait)?,
            };
        }
        Ok(())
    }

    #[test]
    fn placed_tasks_that_wait_for_earlier_ones_leave_them_a_place() -> Result {
        const N: i32 = 64;
        let (blockers, domain, done) = (domain()?, domain()?, counter()?);
        let (gate, running) = (Gate::new()?, counter()?);

        kunit::with_places(1, || {
            for node in 0..kunit::nodes() {
                let (g, r) = (gate.clone(), running.clone());
                blockers.on_node(node)?.schedule(GFP_KERNEL, move |_| {
                    r.add(1, Relaxed);
                    g.wait();
                })?;
            }
            assert!(eventually(|| running.load(Relaxed) > 0));
            settle();
            // Two tasks that wait for none, and then as many as one likes that wait for them.
            for _ in 0..2 {
                let d = done.clone();
                domain.schedule(GFP_KERNEL, move |_| d.add(1, Relaxed))?;
            }
            for node in 0..kunit::nodes() {
                for _ in 0..N {
                    let d = done.clone();
                    domain.on_node(node)?.schedule(GFP_KERNEL, move |context| {
                        if context.synchronize().is_ok() {
                            d.add(1, Relaxed);
                        }
                    })?;
                }
            }
            gate.open();
            drain(domain)
        })?;
        blockers.synchronize(..)?;
        assert_eq!(done.load(Relaxed), 2 + N * kunit::nodes());
        Ok(())
    }

    #[test]
    fn domains_wait_for_a_dispatcher() -> Result {
        const N: i32 = 16;
        let done = counter()?;

        for count in [1, 2, 5] {
            done.store(0, Relaxed);
            with_dispatchers(count, || {
                let mut domains = KVec::new();

                // All have queued tasks, and wait for earlier ones of their own.
                for _ in 0..N {
                    let domain = domain()?;
                    schedule_waiting(&domain, N, &done)?;
                    domains.push(domain, GFP_KERNEL)?;
                }
                for domain in domains {
                    drain(domain)?;
                }
                Ok(())
            })?;
            assert_eq!(done.load(Relaxed), N * N);
        }
        assert!(eventually(|| free() == Ok(DISPATCHERS)));
        Ok(())
    }

    #[test]
    fn the_domain_that_has_waited_longest_is_served_first() -> Result {
        const N: i32 = 32;
        let (next, wrong) = (counter()?, counter()?);
        let taken = take_all()?;
        let mut domains = KVec::new();

        for i in 0..N {
            let (domain, n, w) = (domain()?, next.clone(), wrong.clone());
            domain.schedule(GFP_KERNEL, move |_| {
                if n.fetch_add(1, Relaxed) != i {
                    w.add(1, Relaxed);
                }
            })?;
            domains.push(domain, GFP_KERNEL)?;
        }
        settle();
        assert_eq!(next.load(Relaxed), 0);
        let (first, others) = taken.split_at_checked(1).ok_or(EBUSY)?;
        // One after the other is given the only dispatcher.
        first.iter().for_each(|dispatcher| dispatcher.put());
        let served = eventually(|| next.load(Relaxed) == N);
        others.iter().for_each(|dispatcher| dispatcher.put());
        for domain in domains {
            drain(domain)?;
        }
        assert!(served);
        assert_eq!(wrong.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn a_domain_that_waits_can_be_emptied() -> Result {
        let (calls, first, second, third) = (counter()?, domain()?, domain()?, domain()?);
        let schedule = |domain: &AsyncDomain| {
            let c = calls.clone();
            domain
                .schedule(GFP_KERNEL, move |_| c.add(1, Relaxed))
                .map_err(|e| e.error)
        };

        let taken = take_all()?;
        for domain in [&first, &second, &third, &second] {
            schedule(domain)?;
        }
        // From the middle, from the start, and the last one; and one that comes again.
        let cancelled = [second.cancel_all(), first.cancel_all(), third.cancel_all()];
        schedule(&first)?;
        for dispatcher in taken {
            dispatcher.put();
        }
        assert_eq!(cancelled, [2, 1, 1]);
        drain(first)?;
        assert_eq!(calls.load(Relaxed), 1);
        assert!(eventually(|| free() == Ok(DISPATCHERS)));
        Ok(())
    }

    /// An item whose function submits it to another domain, and waits for it there.
    #[pin_data]
    struct Again {
        other: Arc<OwnedDomain>,
        runs: Atomic<i32>,
        /// Whether the wait was over in time.
        done: Atomic<bool>,
        #[pin]
        task: TaskHeader<Self>,
    }

    impl_has_task! {
        impl HasTask<Self> for Again { self.task }
    }

    impl TaskItem for Again {
        type Pointer = Arc<Self>;

        fn run(this: Arc<Self>, _context: &TaskContext<'_>) {
            if this.runs.fetch_add(1, Relaxed) > 0 {
                return;
            }
            let other = this.other.clone();
            let ret = other
                .on_node(0)
                .and_then(|node| node.submit(this.clone()).map_err(|e| e.error))
                .and_then(|cookie| other.synchronize_with(in_time(), ..=cookie));
            this.done.store(ret.is_ok(), Relaxed);
        }
    }

    #[test]
    fn an_address_that_is_used_again_makes_nobody_wait() -> Result {
        let (domain, other) = (domain()?, domain()?);
        let o = other.clone();
        let item = Arc::pin_init(
            pin_init!(Again {
                other: o,
                runs: Atomic::new(0),
                done: Atomic::new(false),
                task <- TaskHeader::new(),
            }),
            GFP_KERNEL,
        )?;

        domain
            .on_node(0)?
            .submit(item.clone())
            .map_err(|e| e.error)?;
        domain.synchronize(..)?;
        drain(other)?;
        assert_eq!(
            (item.runs.load(Relaxed), item.done.load(Relaxed)),
            (2, true)
        );
        Ok(())
    }
}
