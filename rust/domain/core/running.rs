// SPDX-License-Identifier: GPL-2.0

//! Which tasks the current thread is inside of.
//!
//! A task that waits for itself would wait for ever. To say so instead, and to let a domain be
//! dropped by one of its own tasks, a domain must know whether the calling thread is running one of
//! its tasks. A thread can be inside several: a task may run others in its own context.
//!
//! Each running task has a [`RunningTask`] on the stack of the thread that runs it, and a table has one slot
//! for each such thread, with its innermost `RunningTask`. A slot is taken and given back without a lock. A
//! thread that finds none near its hash puts its `RunningTask` into a list, which has one.
//!
//! An open scope has a `RunningTask` as well. Its tasks are inside of what the scope is inside of, in whichever
//! thread they run: the opener waits for them.
//!
//! All of this is for process context: an interrupt is not inside the tasks of the thread that it
//! interrupts.
//!
//! # Threads that die
//!
//! A Rust panic, like any oops, kills the thread without unwinding, unless it brings down the machine.
//! Its stack is freed. Where other threads still use it, no orderly way is left, and [`Death`] panics:
//!
//! - in an open scope, whose frame its tasks borrow from, as `std::thread::scope` aborts the process;
//! - in a task whose node in the order is on the stack: one that runs in the context of its submitter,
//!   or whose memory is the caller's.
//!
//! A thread that dies in any other task gives its slot back, lest a later thread at the same address be
//! taken for it, and lest the table fill up. The task is never finished.
//!
//! This relies on `die()` calling the notifier in the thread that dies, before it is killed, as all
//! architectures do that Rust supports (user-mode Linux panics instead). A thread that ends
//! otherwise, as a KUnit case does whose assertion fails, must not do so inside a scope or a task.

use super::{
    cookie::Cookie,
    domain::AsyncDomain,
    pending::{
        flag,
        Node, //
    },
    registry::Registry, //
};
use crate::ffi::{
    self,
    irq_lock::{
        static_irq_lock,
        StaticRawIrqLock, //
    },
};
use core::{
    cell::Cell,
    mem::{
        self,
        MaybeUninit, //
    },
    ptr, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Relaxed,
            Release, //
        },
        Atomic, //
    },
    types::NotThreadSafe, //
};

/// The number of slots, a power of two: a few times as many as there usually are running tasks.
const SLOTS: usize = 1024;

/// How many slots a thread tries.
const PROBES: usize = 16;

/// One running task, or an open scope, on the stack of the thread that is inside of it.
///
/// # Invariants
///
/// - `domain` is null, or points to the domain in whose order `node` is. It is set to null by whoever
///   drops the domain inside of this, with the domain's lock held.
/// - `outer` and `opener` are null or valid as long as this is.
pub(crate) struct RunningTask {
    domain: Atomic<*mut AsyncDomain>,
    /// Null for a scope.
    node: *mut Node,
    cookie: Cookie,
    /// What the thread was inside of before.
    outer: *const RunningTask,
    /// For a task of a scope that is open in another thread, or further out in this one: the scope.
    opener: *const RunningTask,
    /// Initialised while this is in [`SPILLED`].
    links: Cell<MaybeUninit<Links>>,
}

/// The part of a [`RunningTask`] that is used in the list, under its lock.
#[derive(Clone, Copy)]
struct Links {
    thread: *mut ffi::task_struct,
    next: *const RunningTask,
}

/// The slot of one thread that runs tasks.
///
/// # Invariants
///
/// `innermost` is only touched by the thread that `thread` names, and is then valid.
struct Slot {
    thread: Atomic<*mut ffi::task_struct>,
    innermost: Cell<*const RunningTask>,
}

// SAFETY: By the type invariant, `innermost` is only touched by one thread at a time; taking a slot
// acquires what giving it back released.
// Tested by: kunit a_thread_knows_its_tasks_when_there_are_more_than_slots.
unsafe impl Sync for Slot {}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        thread: Atomic::new(ptr::null_mut()),
        innermost: Cell::new(ptr::null()),
    }
}; SLOTS];

/// The innermost tasks of threads that found no slot.
///
/// # Invariants
///
/// All in the list are valid, and their links initialised.
struct Spilled {
    first: Cell<*const RunningTask>,
}

// SAFETY: What is in the list may be looked at by any thread that has the lock.
// Tested by: kunit a_thread_knows_its_tasks_when_there_are_more_than_slots.
unsafe impl Send for Spilled {}

/// The lock turns interrupts off: it is taken under domains' locks, and by a thread that dies.
static SPILLED: StaticRawIrqLock<Spilled> = static_irq_lock!(
    raw async_domain_spill_lock,
    Spilled {
        first: Cell::new(ptr::null()),
    }
);

/// How many are in the list, or about to be.
static SPILLS: Atomic<usize> = Atomic::new(0);

impl Spilled {
    /// All in the list; the one that is handed out may be taken out.
    // Tested by: mutant drain-of-own-domain-hangs, kunit a_thread_knows_its_tasks_when_there_are_more_than_slots.
    fn iter(&self) -> impl Iterator<Item = (&RunningTask, Links)> {
        let mut next = self.first.get();

        core::iter::from_fn(move || {
            // SAFETY: By the type invariant. The lock is held while `self` is borrowed.
            let (run, links) = unsafe {
                let run = next.as_ref()?;
                (run, run.links.get().assume_init())
            };
            next = links.next;
            Some((run, links))
        })
    }

    /// Puts a thread's innermost task into the list, in front of what it is nested in.
    fn push(&self, run: &RunningTask, thread: *mut ffi::task_struct) {
        let next = self.first.replace(run);

        // INVARIANT: It is valid until it is taken out.
        run.links.set(MaybeUninit::new(Links { thread, next }));
    }

    /// Takes out of the list for what `f` returns `true`; returns how many there were.
    fn remove(&self, f: impl Fn(&RunningTask, Links) -> bool) -> usize {
        let mut before: Option<(&RunningTask, Links)> = None;
        let mut count = 0;

        for (run, links) in self.iter() {
            if !f(run, links) {
                before = Some((run, links));
                continue;
            }
            count += 1;
            match &mut before {
                Some((run, before)) => {
                    before.next = links.next;
                    run.links.set(MaybeUninit::new(*before));
                }
                None => self.first.set(links.next),
            }
        }
        count
    }
}

/// The slots in which a thread may be found.
fn slots(thread: *mut ffi::task_struct) -> impl Iterator<Item = &'static Slot> {
    // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
    let hash = (thread as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS.ilog2());

    // CAST: The hash is below the number of slots.
    (0..PROBES).map(move |i| &TABLE[(hash as usize + i) & (SLOTS - 1)])
}

/// Returns the slot of the current thread, if it has one.
// Tested by: mutant drain-of-own-domain-hangs, kunit a_thread_knows_its_tasks_when_there_are_more_than_slots.
fn find() -> Option<&'static Slot> {
    let thread = ffi::current();

    slots(thread).find(|slot| slot.thread.load(Relaxed) == thread)
}

/// Returns the innermost task of the current thread.
fn innermost() -> *const RunningTask {
    if !ffi::in_task() {
        return ptr::null();
    }
    if let Some(slot) = find() {
        return slot.innermost.get();
    }
    if SPILLS.load(Relaxed) == 0 {
        return ptr::null();
    }
    let thread = ffi::current();

    SPILLED.with(|spilled| {
        spilled
            .iter()
            .find(|(_, links)| links.thread == thread)
            .map_or(ptr::null(), |(run, _)| ptr::from_ref(run))
    })
}

/// Takes out of the list for what `f` returns `true`.
#[cold]
fn unspill(f: impl Fn(&RunningTask, Links) -> bool) {
    let count = SPILLED.with(|spilled| spilled.remove(f));

    SPILLS.add(0usize.wrapping_sub(count), Relaxed);
}

/// A thread that runs tasks, one after the other, and is not inside any before the first one.
///
/// It keeps its slot in the meantime.
pub(crate) struct Worker {
    slot: Option<&'static Slot>,
    /// The number of the thread.
    pid: c_int,
    // The slot is that of the thread.
    _not_send: NotThreadSafe,
}

impl Worker {
    /// Takes a slot for the current thread.
    ///
    /// # Safety
    ///
    /// The thread must be in process context, not inside a task, and not be another worker.
    #[inline]
    // Tested by: kunit schedule_or_run_runs_here_what_cannot_be_queued, kunit
    //   scopes_nest_in_tasks_of_the_same_domain.
    pub(crate) unsafe fn new() -> Self {
        let thread = ffi::current();
        let slot = slots(thread).find(|slot| {
            slot.thread
                .cmpxchg(ptr::null_mut(), thread, Acquire)
                .is_ok()
        });

        Self {
            slot,
            pid: ffi::current_pid(),
            _not_send: NotThreadSafe,
        }
    }

    /// The number of the thread.
    #[inline]
    pub(crate) fn pid(&self) -> c_int {
        self.pid
    }

    /// Runs `f` as a task; returns whether the task is still in its domain's order afterwards.
    ///
    /// # Safety
    ///
    /// `node` must be valid, and in the order of `domain`, unless that is null; both must stay valid
    /// until the task is finished or [detached](RunningTask::detach). `opener` must be null, or the scope that
    /// the task belongs to.
    #[inline]
    // Tested by: kunit schedule_or_run_runs_here_what_cannot_be_queued, kunit
    //   scopes_nest_in_tasks_of_the_same_domain.
    pub(crate) unsafe fn enter(
        &self,
        domain: *const AsyncDomain,
        node: *mut Node,
        opener: *const RunningTask,
        f: impl FnOnce(&RunningTask),
    ) -> bool {
        // SAFETY: The node is in the order of the domain, and a scope is open until its tasks have
        // finished. The slot is that of this thread, which is inside no task.
        unsafe { RunningTask::new(domain, node, ptr::null(), opener).enter_at(self.slot, f) }
    }
}

impl Drop for Worker {
    #[inline]
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.thread.store(ptr::null_mut(), Release);
        }
    }
}

impl RunningTask {
    /// Runs `f` as a task of a thread that may be inside others, or in an interrupt, which is inside
    /// none and is not found; returns whether the task is still in its domain's order afterwards.
    ///
    /// # Safety
    ///
    /// As [`Worker::enter`].
    // Tested by: kunit schedule_or_run_runs_here_what_cannot_be_queued, kunit
    //   scopes_nest_in_tasks_of_the_same_domain.
    pub(crate) unsafe fn enter_nested(
        domain: *const AsyncDomain,
        node: *mut Node,
        opener: *const RunningTask,
        f: impl FnOnce(&RunningTask),
    ) -> bool {
        let outer = innermost();
        // Who helps its own scope is inside of it already.
        let opener = if ptr::eq(outer, opener) {
            ptr::null()
        } else {
            opener
        };
        // SAFETY: The node is in the order of the domain, and a scope is open until its tasks have
        // finished. What the thread is inside of stays until `f` has returned.
        let run = unsafe { Self::new(domain, node, outer, opener) };

        if !ffi::in_task() {
            f(&run);
            return run.is_attached();
        }
        let (slot, _worker) = run.slot();
        // SAFETY: The slot is that of this thread, and kept until `_worker` is dropped.
        unsafe { run.enter_at(slot, f) }
    }

    /// Runs `f` inside of a scope, which that opens.
    ///
    /// Inlined into other modules, but for what it does.
    #[inline]
    pub(crate) fn enter_scope<R>(f: impl FnOnce(&RunningTask) -> R) -> R {
        let run = Self::scope();
        let worker = run.open();
        let ret = f(&run);

        run.close(worker);
        ret
    }

    /// A scope, which is inside of what the current thread is inside of.
    fn scope() -> Self {
        // INVARIANT: There is no domain. The caller closes the scope before it returns.
        Self {
            domain: Atomic::new(ptr::null_mut()),
            node: ptr::null_mut(),
            cookie: Cookie::UNUSED,
            outer: innermost(),
            opener: ptr::null(),
            links: Cell::new(MaybeUninit::uninit()),
        }
    }

    // Tested by: test debugfs.
    fn open(&self) -> Option<Worker> {
        if !ffi::in_task() {
            return None;
        }
        let (slot, worker) = self.slot();
        // SAFETY: The slot is that of this thread.
        unsafe { self.push(slot) };
        worker
    }

    // Tested by: kunit a_thread_that_dies_gives_its_slot_back.
    fn close(&self, worker: Option<Worker>) {
        if ffi::in_task() {
            // SAFETY: The slot is that of this thread, which `open` has found.
            unsafe { self.pop(worker.as_ref().map_or_else(find, |worker| worker.slot)) };
        }
    }

    /// The slot for a new innermost of the current thread: its own. A thread that is inside of nothing,
    /// and is no worker, takes one until the second value is dropped.
    // Tested by: kunit a_thread_that_dies_gives_its_slot_back.
    fn slot(&self) -> (Option<&'static Slot>, Option<Worker>) {
        match find() {
            None if self.outer.is_null() => {
                // SAFETY: We are in process context and inside no task. A worker that has found no slot
                // has nothing to give back.
                let worker = unsafe { Worker::new() };
                (worker.slot, Some(worker))
            }
            slot => (slot, None),
        }
    }

    /// # Safety
    ///
    /// `node` must be valid, and in the order of `domain`, unless that is null; `outer` and `opener` be
    /// null or stay valid.
    #[inline]
    // Tested by: kunit schedule_or_run_runs_here_what_cannot_be_queued, kunit
    //   scopes_nest_in_tasks_of_the_same_domain.
    unsafe fn new(
        domain: *const AsyncDomain,
        node: *mut Node,
        outer: *const RunningTask,
        opener: *const RunningTask,
    ) -> Self {
        // INVARIANT: The caller promises that the node is in the domain's order, and that the others
        // stay valid.
        Self {
            domain: Atomic::new(domain.cast_mut()),
            node,
            // SAFETY: The node is valid by the caller's promise, and its cookie does not change.
            cookie: unsafe { Node::cookie_of(node) },
            outer,
            opener,
            links: Cell::new(MaybeUninit::uninit()),
        }
    }

    /// Runs `f` inside of this; returns whether the task is still in its domain's order afterwards.
    ///
    /// # Safety
    ///
    /// `outer` must be the innermost of the current thread, and `slot` its slot, if it has one.
    #[inline]
    // Tested by: kunit schedule_or_run_runs_here_what_cannot_be_queued, kunit
    //   scopes_nest_in_tasks_of_the_same_domain.
    unsafe fn enter_at(&self, slot: Option<&'static Slot>, f: impl FnOnce(&RunningTask)) -> bool {
        // SAFETY: The slot is that of this thread, which is inside of `outer`.
        unsafe { self.push(slot) };
        f(self);
        // SAFETY: What `f` has entered, it has left.
        unsafe { self.pop(slot) };
        self.is_attached()
    }

    /// Makes this the innermost of the current thread, until it is [popped](Self::pop).
    ///
    /// # Safety
    ///
    /// As [`Self::enter_at`]. It must be popped before it is gone.
    #[inline]
    unsafe fn push(&self, slot: Option<&'static Slot>) {
        match slot {
            // INVARIANT: The slot is ours, and this is valid until it is popped.
            Some(slot) => slot.innermost.set(self),
            None => self.spill(),
        }
    }

    /// # Safety
    ///
    /// This must be the innermost of the current thread, and `slot` its slot, if it has one.
    #[inline]
    unsafe fn pop(&self, slot: Option<&'static Slot>) {
        match slot {
            Some(slot) => slot.innermost.set(self.outer),
            None => self.unspill(),
        }
    }

    /// Puts this into the list, in front of what it is nested in.
    #[cold]
    fn spill(&self) {
        SPILLS.add(1, Relaxed);
        SPILLED.with(|spilled| spilled.push(self, ffi::current()));
    }

    #[cold]
    fn unspill(&self) {
        unspill(|run, _| ptr::eq(run, self));
    }

    /// Whether the task is in the order of its domain.
    #[inline]
    fn is_attached(&self) -> bool {
        !ffi::read_once(&self.domain).is_null()
    }

    /// Whether it is a task in the order of this domain.
    fn is_of(&self, domain: *const AsyncDomain) -> bool {
        ffi::read_once(&self.domain).cast_const() == domain
    }

    /// Whether the current thread is right here: nothing was entered inside of this.
    pub(crate) fn is_innermost(&self) -> bool {
        ptr::eq(innermost(), self)
    }

    /// The domain of the task, unless the task has dropped it.
    ///
    /// # Safety
    ///
    /// Tasks of a scope that is open inside of this may drop the domain, in other threads. There must be
    /// none while it is used, or the registry's lock be held: a domain that is dropped takes it afterwards.
    #[inline]
    // Tested by: kunit a_task_can_drop_its_own_domain, kunit what_runs_is_asked_to_stop.
    pub(crate) unsafe fn domain(&self) -> Option<&AsyncDomain> {
        // SAFETY: By the type invariant the pointer is null or valid: a domain is not dropped
        // before its tasks are finished or detached.
        unsafe { ffi::read_once(&self.domain).as_ref() }
    }

    /// The same, as long as the registry's lock is held.
    // Tested by: kunit a_visited_domain_is_not_dropped, mutant context-does-not-visit.
    pub(crate) fn registered_domain<'a>(&self, _: &'a Registry) -> Option<&'a AsyncDomain> {
        // SAFETY: A domain that is dropped takes the registry's lock, after its tasks have forgotten it. So what is
        // found here stays until the lock is given back.
        unsafe { ffi::read_once(&self.domain).as_ref() }
    }

    /// The place of the task in the order of its domain, unless this is a scope, or the task has dropped the domain.
    #[inline]
    // Tested by: kunit a_task_can_drop_its_own_domain, kunit what_runs_is_asked_to_stop.
    fn place(&self) -> Option<&Node> {
        // SAFETY: The node is valid until the task has finished, which is inside of this.
        self.is_attached().then(|| unsafe { &*self.node })
    }

    /// The cookie of the task.
    #[inline]
    pub(crate) fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// Whether somebody wants the task to stop.
    #[inline]
    pub(crate) fn should_stop(&self) -> bool {
        // A task that has dropped its domain cannot be stopped.
        self.place().is_some_and(Node::is_stopped)
    }

    /// Calls `f` for each task and scope that the current thread is inside of, innermost first, until it
    /// returns `true`; returns whether it did. What the openers of scopes are inside of, comes last.
    // Tested by: mutant drain-of-own-domain-hangs, kunit
    //   a_thread_knows_its_tasks_when_there_are_more_than_slots.
    pub(crate) fn any(mut f: impl FnMut(&RunningTask) -> bool) -> bool {
        let mut run = innermost();
        let mut opener: *const Self = ptr::null();

        loop {
            // SAFETY: What a thread is inside of is on its stack, further out. A scope, and what that is
            // inside of, stays until its tasks have finished, one of which this thread is inside of.
            let Some(r) = (unsafe { run.as_ref() }) else {
                if opener.is_null() {
                    return false;
                }
                run = mem::replace(&mut opener, ptr::null());
                continue;
            };
            if f(r) {
                return true;
            }
            if r.outer.is_null() {
                run = r.opener;
                continue;
            }
            run = r.outer;
            // A thread that cancels a task of a scope is inside of both. If that happens again further
            // out, then only this one counts.
            if opener.is_null() {
                opener = r.opener;
            }
        }
    }

    /// Like [`Self::any`], without what the openers of scopes are inside of in other threads.
    // Tested by: test dying-threads.
    fn any_here(mut f: impl FnMut(&RunningTask) -> bool) -> bool {
        let mut run = innermost();

        // SAFETY: `run` is null, or on the stack of this very thread, further out.
        while let Some(r) = unsafe { run.as_ref() } {
            if f(r) {
                return true;
            }
            run = r.outer;
        }
        false
    }

    /// Whether the current thread runs any task.
    pub(crate) fn runs_any() -> bool {
        Self::any_here(|run| !run.node.is_null())
    }

    /// Whether the current thread runs a task of this domain, as lockdep sees it.
    pub(crate) fn runs_one_of(domain: &AsyncDomain) -> bool {
        Self::any_here(|run| run.is_of(domain))
    }

    /// Whether the current thread is inside a task of this domain that is below the cookie, so that
    /// it would wait for itself if it waited for all below the cookie.
    pub(crate) fn is_inside(domain: &AsyncDomain, below: Cookie) -> bool {
        Self::any(|run| run.is_of(domain) && run.cookie < below)
    }

    /// Takes the tasks of this domain that the current thread is inside of out of its order, giving
    /// each node to `remove`; returns how many there were. The domain's lock must be held.
    pub(crate) fn detach(domain: *const AsyncDomain, mut remove: impl FnMut(*mut Node)) -> usize {
        let mut count = 0;

        Self::any(|run| {
            if run.is_of(domain) {
                // INVARIANT: The domain is forgotten as the node leaves its order.
                ffi::write_once(&run.domain, ptr::null_mut());
                remove(run.node);
                count += 1;
            }
            false
        });
        count
    }
}

/// What becomes of a thread that dies of an oops.
pub(crate) struct Death;

impl ffi::ThreadDies for Death {
    // Tested by: test dying-threads.
    fn dies() {
        RunningTask::any_here(|run| {
            if run.node.is_null() {
                die(c"a thread died in a scope: the scope's tasks use its stack");
            }
            if run.place().is_some_and(|node| node.has(flag::STACK)) {
                die(c"a thread died in a task that is on its stack: its domain uses that");
            }
            false
        });
        forget_current();
    }
}

/// Brings down the machine, after an oops, where another one would have it hang.
// Tested by: test dying-threads.
fn die(reason: &CStr) -> ! {
    // SAFETY: The reason is a string.
    unsafe { ffi::panic(reason.as_char_ptr()) }
}

/// Gives back what the current thread has in the table or the list.
// Tested by: kunit a_thread_that_dies_gives_its_slot_back, test dying-threads.
fn forget_current() {
    let (thread, in_task) = (ffi::current(), ffi::in_task());

    if !in_task {
        return;
    }
    if let Some(slot) = find() {
        // INVARIANT: Nothing is left for who takes the slot next.
        slot.innermost.set(ptr::null());
        slot.thread.store(ptr::null_mut(), Release);
    } else if SPILLS.load(Relaxed) > 0 {
        unspill(|_, links| links.thread == thread);
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kernel::prelude::kunit_tests(async_domain_running)]
mod tests {
    use super::*;
    use crate::errno::EDEADLK;
    use crate::kunit::{
        domain,
        eventually,
        Gate, //
    };
    use crate::Submit;
    use crate::WaitMode;
    use kernel::time::Delta;

    #[test]
    fn a_task_goes_on_after_what_it_runs_itself() -> Result {
        let domain = domain()?;
        let other = crate::new_async_domain!("kunit", GFP_KERNEL)?;
        let d = domain.clone();

        other.set_limit(0);
        let handle = domain.schedule_with_handle(GFP_KERNEL, move |_| {
            let mode = WaitMode::UNINTERRUPTIBLE.timeout(Delta::from_millis(1000));

            other.schedule_or_run(GFP_KERNEL, |_| ())?;
            let after_task = d.synchronize_with(mode, ..);
            other.scope(|_| ());
            Ok::<_, Error>((after_task, d.synchronize_with(mode, ..)))
        })?;
        assert_eq!(handle.join(), Ok(Ok((Err(EDEADLK), Err(EDEADLK)))));
        Ok(())
    }

    #[test]
    fn a_thread_that_dies_gives_its_slot_back() -> Result {
        let domain = domain()?;
        let (dying, gate) = (Gate::new()?, Gate::new()?);
        let taken = || {
            TABLE
                .iter()
                .filter(|slot| !slot.thread.load(Relaxed).is_null())
                .count()
        };
        // Workers of other suites may still be giving theirs back.
        assert!(eventually(|| taken() == 0));

        let (d, g) = (dying.clone(), gate.clone());
        let handle = domain.schedule_with_handle(GFP_KERNEL, move |_| {
            // As far as that can be undone.
            let slot = find();
            let before = innermost();
            forget_current();
            let after = (innermost().is_null(), find().is_none());
            d.open();
            g.wait();
            if let Some(slot) = slot {
                slot.thread.store(ffi::current(), Relaxed);
                slot.innermost.set(before);
            }
            (slot.is_some(), after)
        })?;
        dying.wait();
        let left = taken();
        gate.open();
        assert_eq!(handle.join(), Ok((true, (true, true))));
        assert_eq!(left, 0);
        Ok(())
    }

    #[test]
    fn a_thread_knows_its_tasks_when_there_are_more_than_slots() -> Result {
        // Take all slots.
        let nobody: *mut ffi::task_struct = ptr::without_provenance_mut(8);
        let mut taken = KVec::new();
        for slot in &TABLE {
            if slot
                .thread
                .cmpxchg(ptr::null_mut(), nobody, Acquire)
                .is_ok()
            {
                taken.push(slot, GFP_KERNEL)?;
            }
        }

        let (domain, gate) = (domain()?, Gate::new()?);
        let (d, g) = (domain.clone(), gate.clone());
        let ret = domain.schedule_with_handle(GFP_KERNEL, move |context| {
            g.wait();
            let d2 = d.clone();
            d.set_limit(0);
            let own = context.cookie();
            let inner = d.scope(|_| d.synchronize(..=own));
            let _ = d2.schedule_or_run(GFP_KERNEL, |_| ());
            let nested = d.synchronize(..);
            (inner, nested, d.synchronize(..own))
        })?;
        assert!(eventually(|| SPILLS.load(Relaxed) == 1));
        gate.open();
        assert_eq!(ret.join(), Ok((Err(EDEADLK), Err(EDEADLK), Ok(()))));
        domain.synchronize(..)?;
        assert_eq!(SPILLS.load(Relaxed), 0);
        for slot in taken {
            slot.thread.store(ptr::null_mut(), Release);
        }
        Ok(())
    }
}
