// SPDX-License-Identifier: GPL-2.0

//! Which tasks the current thread is inside of.
//!
//! A task that waits for itself would wait for ever. To say so instead, and to let a domain be
//! dropped by one of its own tasks, a domain must know whether the calling thread is running one of
//! its tasks. A thread can be inside several: a task may run others in its own context.
//!
//! Each running task has a [`Run`] on the stack of the thread that runs it, and a table has one slot
//! for each such thread, with its innermost `Run`. A slot is taken and given back without a lock.

use super::{
    cookie::Cookie,
    pending::{
        flag,
        Node, //
    },
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
use kernel::sync::atomic::{
    ordering::{
        Acquire,
        Relaxed,
        Release, //
    },
    Atomic, //
};

/// The number of slots, a power of two: a few times as many as there usually are running tasks.
const SLOTS: usize = 1024;

/// How many slots a thread tries before it goes without one.
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
    outer: *const Run,
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

/// The slots in which a thread may be found.
fn slots(thread: *mut ffi::task_struct) -> impl Iterator<Item = &'static Slot> {
    // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
    let hash = (thread as usize).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - 10);

    (0..PROBES).map(move |i| &TABLE[(hash + i) & (SLOTS - 1)])
}

/// Returns the slot of the current thread, if it has one.
fn find() -> Option<&'static Slot> {
    // SAFETY: It may always be called.
    let thread = unsafe { ffi::get_current() };

    slots(thread).find(|slot| slot.thread.load(Relaxed) == thread)
}

impl Run {
    /// Runs `f` as a task; returns whether the task is still in its domain's order afterwards.
    ///
    /// `nested` says whether the thread may be inside another task already.
    ///
    /// # Safety
    ///
    /// - `node` must be valid, and in the order of `domain`, unless that is null; both must stay
    ///   valid until the task is finished or [detached](Self::detach).
    /// - The caller must be in process context, and not inside another task unless it says so.
    #[inline]
    pub(super) unsafe fn enter(
        domain: *const AsyncDomain,
        node: *mut Node,
        nested: bool,
        f: impl FnOnce(&Run),
    ) -> bool {
        let slot = match nested.then(find).flatten() {
            Some(slot) => Some(slot),
            None => {
                // SAFETY: It may always be called.
                let thread = unsafe { ffi::get_current() };

                slots(thread).find(|slot| {
                    slot.thread
                        .cmpxchg(ptr::null_mut(), thread, Acquire)
                        .is_ok()
                })
            }
        };
        let outer = match slot {
            // SAFETY: By the type invariant: the slot is ours.
            Some(slot) => unsafe { *slot.innermost.get() },
            None => ptr::null(),
        };

        // INVARIANT: The caller promises that the node is in the domain's order.
        let run = Run {
            domain: Cell::new(domain),
            node,
            // SAFETY: The node is valid by the caller's promise.
            cookie: unsafe { (*node).cookie() },
            outer,
        };
        if let Some(slot) = slot {
            // INVARIANT: The slot is ours, and `run` is valid until it is taken out below.
            // SAFETY: As above.
            unsafe { *slot.innermost.get() = &run };
        }

        f(&run);

        if let Some(slot) = slot {
            // SAFETY: By the type invariant: the slot is ours.
            unsafe { *slot.innermost.get() = outer };
            if outer.is_null() {
                slot.thread.store(ptr::null_mut(), Release);
            }
        }
        !run.domain.get().is_null()
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
        self.domain().is_some() && unsafe { (*self.node).has(flag::STOP) }
    }

    /// Calls `f` for each task that the current thread is inside of, innermost first, until it
    /// returns `true`; returns whether it did.
    pub(super) fn any(mut f: impl FnMut(&Run) -> bool) -> bool {
        let Some(slot) = find() else {
            return false;
        };
        // SAFETY: By the type invariant: the slot is ours.
        let mut run = unsafe { *slot.innermost.get() };

        // SAFETY: `run` is null, or on the stack of this very thread, further out.
        while let Some(r) = unsafe { run.as_ref() } {
            if f(r) {
                return true;
            }
            run = r.outer;
        }
        false
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
