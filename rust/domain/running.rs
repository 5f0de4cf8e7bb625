// SPDX-License-Identifier: GPL-2.0

//! Which tasks the current thread is inside of.
//!
//! A task that waits for itself would wait for ever. To say so instead, and to let a domain be
//! dropped by one of its own tasks, a domain must know whether the calling thread is running one of
//! its tasks. A thread can be inside several: a task may run others in its own context.
//!
//! Each running task has a [`Run`] on the stack of the thread that runs it, and a table has one slot
//! for each such thread, with its innermost `Run`. A slot is taken and given back without a lock. A
//! thread that finds none near its place puts its `Run` into a list, which has one.
//!
//! All of this is for process context: an interrupt is not inside the tasks of the thread that it
//! interrupts.

use super::{
    cookie::Cookie,
    pending::Node,
    AsyncDomain, //
};
use crate::ffi;
use core::{
    cell::{
        Cell,
        UnsafeCell, //
    },
    ptr,
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

/// One running task, on the stack of the thread that runs it.
///
/// # Invariants
///
/// `domain` is null, or points to the domain in whose order `node` is. It is changed by the running
/// thread only.
pub(super) struct Run {
    domain: Cell<*const AsyncDomain>,
    node: *mut Node,
    cookie: Cookie,
    /// The task that the thread was inside of before.
    outer: *const Run,
    /// For a `Run` in the list: its thread, and the next one.
    thread: *mut ffi::task_struct,
    next: Cell<*const Run>,
}

/// The slot of one thread that runs tasks.
///
/// # Invariants
///
/// `innermost` is only touched by the thread that `thread` names, and is then valid.
struct Slot {
    thread: Atomic<*mut ffi::task_struct>,
    innermost: UnsafeCell<*const Run>,
}

// SAFETY: By the type invariant, `innermost` is only touched by one thread at a time; taking a slot
// acquires what giving it back released.
unsafe impl Sync for Slot {}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        thread: Atomic::new(ptr::null_mut()),
        innermost: UnsafeCell::new(ptr::null()),
    }
}; SLOTS];

/// The innermost tasks of threads that found no slot.
///
/// # Invariants
///
/// Touched under its lock only; all in the list are valid.
struct Spill {
    first: UnsafeCell<*const Run>,
    len: Atomic<usize>,
}

// SAFETY: By the type invariant.
unsafe impl Sync for Spill {}

static SPILL: Spill = Spill {
    first: UnsafeCell::new(ptr::null()),
    len: Atomic::new(0),
};

/// Runs `f` with the lock of the list held and interrupts off: it is taken under domains' locks.
fn spill<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: The lock is a static one, which is given back below, last in, first out.
    let flags = unsafe { ffi::spill_lock() };
    let ret = f();
    // SAFETY: As above.
    unsafe { ffi::spill_unlock(flags) };
    ret
}

/// The slots in which a thread may be found.
fn slots(thread: *mut ffi::task_struct) -> impl Iterator<Item = &'static Slot> {
    // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
    let hash = (thread as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS.ilog2());

    // CAST: The hash is below the number of slots.
    (0..PROBES).map(move |i| &TABLE[(hash as usize + i) & (SLOTS - 1)])
}

/// Returns the slot of the current thread, if it has one.
fn find() -> Option<&'static Slot> {
    // SAFETY: It may always be called.
    let thread = unsafe { ffi::get_current() };

    slots(thread).find(|slot| slot.thread.load(Relaxed) == thread)
}

/// Returns the innermost task of the current thread.
fn innermost() -> *const Run {
    // SAFETY: It may always be called.
    if !unsafe { ffi::in_task() } {
        return ptr::null();
    }
    if let Some(slot) = find() {
        // SAFETY: By the type invariant: the slot is ours.
        return unsafe { *slot.innermost.get() };
    }
    if SPILL.len.load(Relaxed) == 0 {
        return ptr::null();
    }
    // SAFETY: It may always be called.
    let thread = unsafe { ffi::get_current() };

    spill(|| {
        // SAFETY: The lock is held.
        let mut run = unsafe { *SPILL.first.get() };

        // SAFETY: What is in the list is valid.
        while let Some(r) = unsafe { run.as_ref() } {
            if r.thread == thread {
                break;
            }
            run = r.next.get();
        }
        run
    })
}

/// A thread that runs tasks, one after the other, and is not inside any before the first one.
///
/// It keeps its slot in the meantime.
pub(super) struct Worker {
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
    pub(super) unsafe fn new() -> Self {
        // SAFETY: It may always be called.
        let thread = unsafe { ffi::get_current() };
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
    pub(super) fn pid(&self) -> c_int {
        self.pid
    }

    /// Runs `f` as a task; returns whether the task is still in its domain's order afterwards.
    ///
    /// # Safety
    ///
    /// `node` must be valid, and in the order of `domain`, unless that is null; both must stay valid
    /// until the task is finished or [detached](Run::detach).
    #[inline]
    pub(super) unsafe fn enter(
        &self,
        domain: *const AsyncDomain,
        node: *mut Node,
        f: impl FnOnce(&Run),
    ) -> bool {
        // SAFETY: By the caller's promise. The slot is that of this thread, which is inside no task.
        unsafe { Run::enter_at(domain, node, ptr::null(), self.slot, f) }
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

impl Run {
    /// Runs `f` as a task of a thread that may be inside others, or in an interrupt, which is inside
    /// none and is not found; returns whether the task is still in its domain's order afterwards.
    ///
    /// # Safety
    ///
    /// As [`Worker::enter`].
    pub(super) unsafe fn enter_nested(
        domain: *const AsyncDomain,
        node: *mut Node,
        f: impl FnOnce(&Run),
    ) -> bool {
        // SAFETY: It may always be called.
        if !unsafe { ffi::in_task() } {
            // SAFETY: By the caller's promise.
            let run = unsafe { Self::new(domain, node, ptr::null()) };

            f(&run);
            return !run.domain.get().is_null();
        }

        let outer = innermost();
        // SAFETY: By the caller's promise. A thread that is inside no task and has no slot is no worker
        // (or one that found none), and takes one for as long as this.
        unsafe {
            match find() {
                None if outer.is_null() => Worker::new().enter(domain, node, f),
                slot => Self::enter_at(domain, node, outer, slot, f),
            }
        }
    }

    /// # Safety
    ///
    /// `node` must be valid, and in the order of `domain`, unless that is null.
    #[inline]
    unsafe fn new(domain: *const AsyncDomain, node: *mut Node, outer: *const Run) -> Self {
        // INVARIANT: The caller promises that the node is in the domain's order.
        Self {
            domain: Cell::new(domain),
            node,
            // SAFETY: The node is valid by the caller's promise, and its cookie does not change.
            cookie: unsafe { Node::cookie_of(node) },
            outer,
            // SAFETY: It may always be called.
            thread: unsafe { ffi::get_current() },
            next: Cell::new(ptr::null()),
        }
    }

    /// # Safety
    ///
    /// As [`Worker::enter`]. `outer` must be the innermost task of the current thread, and `slot` its
    /// slot, if it has one.
    #[inline]
    unsafe fn enter_at(
        domain: *const AsyncDomain,
        node: *mut Node,
        outer: *const Run,
        slot: Option<&'static Slot>,
        f: impl FnOnce(&Run),
    ) -> bool {
        // SAFETY: By the caller's promise.
        let run = unsafe { Self::new(domain, node, outer) };

        match slot {
            // INVARIANT: The slot is ours, and `run` is valid until it is taken out below.
            // SAFETY: By the type invariant.
            Some(slot) => unsafe { *slot.innermost.get() = &run },
            None => run.spill(),
        }

        f(&run);

        match slot {
            // SAFETY: As above.
            Some(slot) => unsafe { *slot.innermost.get() = outer },
            None => run.unspill(),
        }
        !run.domain.get().is_null()
    }

    /// Puts the task into the list, in front of those of the same thread that it is nested in.
    fn spill(&self) {
        SPILL.len.add(1, Relaxed);
        spill(|| {
            // SAFETY: The lock is held.
            unsafe {
                self.next.set(*SPILL.first.get());
                *SPILL.first.get() = self;
            }
        });
    }

    fn unspill(&self) {
        spill(|| {
            // SAFETY: The lock is held, and what is in the list is valid.
            unsafe {
                let mut run = *SPILL.first.get();

                if ptr::eq(run, self) {
                    *SPILL.first.get() = self.next.get();
                }
                while let Some(r) = run.as_ref() {
                    if ptr::eq(r.next.get(), self) {
                        r.next.set(self.next.get());
                    }
                    run = r.next.get();
                }
            }
        });
        SPILL.len.add(usize::MAX, Relaxed);
    }

    /// The domain of the task, unless the task has dropped it.
    #[inline]
    pub(super) fn domain(&self) -> Option<&AsyncDomain> {
        // SAFETY: By the type invariant the pointer is null or valid: a domain is not dropped
        // before its tasks are finished or detached.
        unsafe { self.domain.get().as_ref() }
    }

    /// The cookie of the task.
    #[inline]
    pub(super) fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// Whether somebody wants the task to stop.
    #[inline]
    pub(super) fn should_stop(&self) -> bool {
        // SAFETY: The node is valid as long as the task is in the order; a task that is not, since
        // it has dropped its domain, is its own master.
        self.domain().is_some() && unsafe { Node::is_stopped(self.node) }
    }

    /// Calls `f` for each task that the current thread is inside of, innermost first, until it
    /// returns `true`; returns whether it did.
    pub(super) fn any(mut f: impl FnMut(&Run) -> bool) -> bool {
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

    /// Whether the current thread is inside any task.
    pub(super) fn is_inside_any() -> bool {
        !innermost().is_null()
    }

    /// Whether the current thread is inside a task of this domain that is below the cookie, so that
    /// it would wait for itself if it waited for all below the cookie.
    pub(super) fn is_inside(domain: &AsyncDomain, below: Cookie) -> bool {
        Self::any(|run| ptr::eq(run.domain.get(), domain) && run.cookie < below)
    }

    /// Takes the tasks of this domain that the current thread is inside of out of its order, giving
    /// each node to `remove`; returns how many there were.
    pub(super) fn detach(domain: *const AsyncDomain, mut remove: impl FnMut(*mut Node)) -> usize {
        let mut count = 0;

        Self::any(|run| {
            if ptr::eq(run.domain.get(), domain) {
                // INVARIANT: The domain is forgotten as the node leaves its order.
                run.domain.set(ptr::null());
                remove(run.node);
                count += 1;
            }
            false
        });
        count
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
        let ret = domain.schedule_with_handle(
            move |context| {
                g.wait();
                let d2 = d.clone();
                d.set_limit(0);
                let (mut nested, own) = (Ok(()), context.cookie());
                let inner = d.scope(|_| d.synchronize_cookie(own.next()));
                let _ = d2.schedule_or_run(|_| (), GFP_KERNEL);
                nested = nested.and(d.synchronize_full());
                (inner, nested, d.synchronize_cookie(own))
            },
            GFP_KERNEL,
        )?;
        assert!(eventually(|| SPILL.len.load(Relaxed) == 1));
        gate.open();
        assert_eq!(ret.join(), Ok((Err(EDEADLK), Err(EDEADLK), Ok(()))));
        domain.synchronize_full()?;
        assert_eq!(SPILL.len.load(Relaxed), 0);
        for slot in taken {
            slot.thread.store(ptr::null_mut(), Release);
        }
        Ok(())
    }
}
