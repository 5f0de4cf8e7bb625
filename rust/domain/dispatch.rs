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
    dispatcher::{
        Dispatcher,
        NONE,
        WANTED, //
    },
    task::{
        StackNode,
        Task, //
    },
    AsyncDomain,
    State, //
};
use crate::ffi;
use core::{
    cell::{
        Cell,
        UnsafeCell, //
    },
    ptr::NonNull, //
};
use kernel::prelude::*;

/// After so many tasks a worker leaves the rest to the next one, so that a domain to which tasks come as
/// fast as they finish does not keep its place from others.
const BATCH: u32 = 256;

/// A worker that serves the queued tasks of a domain: what it has on its stack for them.
pub(super) struct Server {
    /// The place in the order of a task in the caller's memory, while it runs.
    stack_node: UnsafeCell<StackNode>,
    /// The node for which tasks are taken, or [`ffi::NUMA_NO_NODE`].
    nid: c_int,
    /// How many more tasks are taken.
    left: Cell<u32>,
}

impl Server {
    #[inline]
    fn new(nid: c_int) -> Self {
        Self {
            stack_node: UnsafeCell::new(StackNode::new()),
            nid,
            left: Cell::new(BATCH - 1),
        }
    }

    /// The node on the stack.
    #[inline]
    pub(super) fn stack_node(&self) -> *mut StackNode {
        self.stack_node.get()
    }

    /// Whether tasks that are to run on a node are served here.
    #[inline]
    fn is_on(&self, nid: c_int) -> bool {
        nid == ffi::NUMA_NO_NODE || nid == self.nid
    }
}

impl State {
    /// Queues the task that was appended last, for a node or, with [`ffi::NUMA_NO_NODE`], any.
    ///
    /// # Safety
    ///
    /// The task must be prepared, and the one that was appended last to the order of `domain`, whose state
    /// this is. It belongs to the worker that begins with it from now on. `nid` must be a valid node, or none.
    #[inline]
    // Tested by: mutant wake-during-poll-lost, model spawn-woken.
    pub(super) unsafe fn enqueue(&mut self, domain: &AsyncDomain, task: NonNull<Task>, nid: c_int) {
        // SAFETY: The task is the caller's until the lock is given back.
        unsafe { Task::set_nid(task, nid) };
        self.pending.queue_last();
        if self.dispatcher == NONE {
            self.call_dispatcher(domain);
        }
    }

    /// The first queued task.
    #[inline]
    fn first_queued(&self) -> Option<NonNull<Task>> {
        // By the safety requirements of `enqueue`: what is queued is a task, of which the node is the first field.
        self.pending.first_queued().map(NonNull::cast)
    }

    /// Puts a dispatcher on the workqueue, if there are queued tasks; the domain must have none there.
    // Tested by: mutant begin-calls-no-dispatcher, model dispatcher-nodes.
    fn call_dispatcher(&mut self, domain: &AsyncDomain) {
        let Some(first) = self.first_queued() else {
            return;
        };
        // SAFETY: A queued task is valid while the lock is held.
        let nid = unsafe { Task::nid(first) };

        match Dispatcher::get_or_wait(domain, nid) {
            Some(dispatcher) => {
                self.dispatcher = dispatcher.number();
                dispatcher.queue(domain, nid);
            }
            None => self.dispatcher = WANTED,
        }
    }

    /// A worker takes the first queued task. If the task's memory is the caller's, then its place in the
    /// order moves to the server's stack.
    ///
    /// # Safety
    ///
    /// The task must be queued, and `server` be one of this thread, whose stack node is in no list. It must
    /// stay until the task has finished.
    #[inline]
    // Tested by: model future-dropped, model future-polled.
    unsafe fn begin(&mut self, task: NonNull<Task>, server: &Server) -> NonNull<Task> {
        // SAFETY: A queued task is valid, and its node in the list; the stack node stays by the caller's
        // promise.
        unsafe {
            self.pending.dequeue(task.cast());
            if (*task.as_ptr()).ops.callers_memory {
                let stack_node = server.stack_node();

                (*stack_node).ops.set(Some((*task.as_ptr()).ops));
                self.pending
                    .replace(task.as_ptr().cast(), stack_node.cast());
            }
        }
        task
    }

    /// A worker that has finished a task takes the next one, unless that is the last, or for another node,
    /// or the worker has served enough.
    ///
    /// # Safety
    ///
    /// As [`Self::begin`], for `server`; without one nothing is taken.
    #[inline(always)]
    // Tested by: mutant begun-with-last, mutant finish-takes-last.
    pub(super) unsafe fn take_next(&mut self, server: Option<&Server>) -> Option<NonNull<Task>> {
        let server = server?;

        if self.pending.queued() < 2 {
            return None;
        }
        let task = self.first_queued()?;
        let left = server.left.get();

        // SAFETY: A queued task is valid while the lock is held.
        if left == 0 || !server.is_on(unsafe { Task::nid(task) }) {
            return None;
        }
        server.left.set(left - 1);
        // SAFETY: It is queued; by the caller's promise.
        Some(unsafe { self.begin(task, server) })
    }

    /// Dequeues a task that has not begun, on behalf of a thread that cancels or runs it; `false` if it is
    /// left to a worker, which has begun with the dispatcher.
    ///
    /// # Safety
    ///
    /// The task must be queued in the order of `domain`, whose state this is.
    // Tested by: mutant cancelled-not-dropped, mutant closure-leaked-on-cancel.
    pub(super) unsafe fn dequeue(&mut self, domain: &AsyncDomain, task: NonNull<Task>) -> bool {
        if self.pending.queued() == 1 {
            if !Dispatcher::dismiss(self.dispatcher, domain) {
                return false;
            }
            self.dispatcher = NONE;
        }
        // SAFETY: By the caller's promise.
        unsafe { self.pending.dequeue(task.cast()) };
        true
    }
}

// SAFETY: The item is static.
// Tested by: mutant begun-with-last, model dispatcher-queue.
unsafe impl ffi::WorkFunction for Dispatcher {
    // Tested by: mutant closure-leaked-on-cancel, kunit shuffled_tasks_retire_in_order.
    unsafe fn run(work: *mut ffi::work_struct) {
        // SAFETY: Work items with this function are in a `Dispatcher`, with which we have begun.
        let (dispatcher, domain, nid) = unsafe { Self::begun(work) };
        let server = Server::new(nid);

        // SAFETY: While the dispatcher is on the workqueue there are queued tasks, and nobody dequeues the
        // last one once we have begun: the domain is there.
        let domain = unsafe { &*domain };
        let task = domain.queue.with(|state| {
            state.dispatcher = NONE;
            // SAFETY: A queued task is valid while the lock is held. The server stays in this frame until all
            // tasks that this worker begins with have finished.
            let task = unsafe {
                state
                    .first_queued()
                    .filter(|&task| server.is_on(Task::nid(task)))
                    .map(|task| state.begin(task, &server))
            };

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

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_dispatch)]
mod tests {
    use super::{
        super::dispatcher::DISPATCHERS,
        *, //
    };
    use crate::{
        impl_has_task,
        kunit::{
            self,
            eventually,
            settle,
            Gate, //
        },
        Context,
        OwnedDomain,
        TaskHeader,
        TaskItem,
        WaitMode, //
    };
    use kernel::{
        sync::{
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc, //
        },
        time::msecs_to_jiffies,
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
        WaitMode::UNINTERRUPTIBLE.timeout(msecs_to_jiffies(60_000))
    }

    /// Waits until a domain is empty; leaks it if it hangs, for whose sake dropping it would hang, too.
    fn drain(domain: Arc<OwnedDomain>) -> Result {
        domain.synchronize_full_with(in_time()).inspect_err(|_| {
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
    fn a_worker_makes_room_for_other_domains() -> Result {
        // CAST: A small number.
        const N: i32 = 4 * BATCH as i32;
        let (domain, other, done) = (domain()?, domain()?, counter()?);
        let (gate, begun) = (Gate::new()?, Gate::new()?);
        let (g, b) = (gate.clone(), begun.clone());

        let seen = kunit::with_places(1, || {
            domain.schedule(
                move |_| {
                    b.open();
                    g.wait();
                },
                GFP_KERNEL,
            )?;
            begun.wait();
            for _ in 0..N {
                let d = done.clone();
                domain.schedule(move |_| d.add(1, Relaxed), GFP_KERNEL)?;
            }
            let d = done.clone();
            let seen = other.schedule_with_handle(move |_| d.load(Relaxed), GFP_KERNEL)?;
            gate.open();
            seen.join()
        })?;
        domain.synchronize_full()?;
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
                domain.schedule(move |_| c.add(1, Relaxed), GFP_KERNEL)?;
            }
            assert_eq!(free()?, before - 1);
            assert_eq!(domain.cancel_all(), 10);
            assert_eq!(free()?, before);

            // The next one calls a dispatcher again.
            let c = calls.clone();
            domain.schedule(move |_| c.add(1, Relaxed), GFP_KERNEL)?;
            assert_eq!(free()?, before - 1);
            Ok(())
        })?;
        domain.synchronize_full()?;
        assert_eq!(calls.load(Relaxed), 1);
        // A worker gives its dispatcher back at last.
        assert!(eventually(|| free() == Ok(DISPATCHERS)));
        Ok(())
    }

    /// Tasks that wait for all earlier ones, for nodes one after the other, and for none.
    fn schedule_waiting(domain: &AsyncDomain, count: i32, done: &Arc<Atomic<i32>>) -> Result {
        for i in 0..count {
            let d = done.clone();
            let wait = move |context: &Context<'_>| {
                if context.synchronize().is_ok() {
                    d.add(1, Relaxed);
                }
            };
            match i % 3 {
                0 => domain.schedule(wait, GFP_KERNEL)?,
                _ => domain
                    .on_node(i % kunit::nodes())?
                    .schedule(wait, GFP_KERNEL)?,
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
                blockers.on_node(node)?.schedule(
                    move |_| {
                        r.add(1, Relaxed);
                        g.wait();
                    },
                    GFP_KERNEL,
                )?;
            }
            assert!(eventually(|| running.load(Relaxed) > 0));
            settle();
            // Two tasks that wait for none, and then as many as one likes that wait for them.
            for _ in 0..2 {
                let d = done.clone();
                domain.schedule(move |_| d.add(1, Relaxed), GFP_KERNEL)?;
            }
            for node in 0..kunit::nodes() {
                for _ in 0..N {
                    let d = done.clone();
                    domain.on_node(node)?.schedule(
                        move |context| {
                            if context.synchronize().is_ok() {
                                d.add(1, Relaxed);
                            }
                        },
                        GFP_KERNEL,
                    )?;
                }
            }
            gate.open();
            drain(domain)
        })?;
        blockers.synchronize_full()?;
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
            domain.schedule(
                move |_| {
                    if n.fetch_add(1, Relaxed) != i {
                        w.add(1, Relaxed);
                    }
                },
                GFP_KERNEL,
            )?;
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
                .schedule(move |_| c.add(1, Relaxed), GFP_KERNEL)
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

        fn run(this: Arc<Self>, _context: &Context<'_>) {
            if this.runs.fetch_add(1, Relaxed) > 0 {
                return;
            }
            let other = this.other.clone();
            let ret = other
                .on_node(0)
                .and_then(|node| node.submit(this.clone()).map_err(|e| e.error))
                .and_then(|cookie| other.synchronize_cookie_with(cookie.next(), in_time()));
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
        domain.synchronize_full()?;
        drain(other)?;
        assert_eq!(
            (item.runs.load(Relaxed), item.done.load(Relaxed)),
            (2, true)
        );
        Ok(())
    }
}
