// SPDX-License-Identifier: GPL-2.0

//! The dispatchers, free ones and those on the workqueue, and the domains that wait for one.
//!
//! Dispatchers are static, so that nothing is allocated to run a task. A domain that finds none free waits in
//! [`WAITING`]. A dispatcher that becomes free goes to the domain that has waited longest, and nobody else
//! gets one before all that wait have theirs.
//!
//! A dispatcher is used again only when what its worker ran has returned: the workqueue tells by the address
//! of an item what a worker is running, and leaves an item to the worker that runs it.

use super::domain::{
    AsyncDomain,
    DISPATCHER_WANTED,
    NO_DISPATCHER, //
};
use crate::{
    ffi::{
        self,
        irq_lock::{
            static_irq_lock,
            StaticIrqLock, //
        },
        HasWork, //
    },
    queue, //
};
use core::{
    cell::Cell,
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
    types::Opaque, //
};

/// How many dispatchers there are: one for each task that can run at a time, and some for domains whose
/// dispatcher waits for a place. That no domain has to wait for one is faster, but nothing depends on it.
// CAST: A small positive number.
pub(crate) const DISPATCHERS: usize = queue::MAX_ACTIVE as usize + 256;

/// A work item that stands for the queued tasks of a domain.
///
/// # Invariants
///
/// `domain` and `nid` are only touched by the thread that has taken the dispatcher out of [`FREE`], until
/// the item is queued; then by the worker that begins with it, or the thread that has taken it off the
/// workqueue.
#[repr(C)]
pub(crate) struct Dispatcher {
    work: Opaque<ffi::work_struct>,
    domain: Cell<*const AsyncDomain>,
    /// The node to which it was sent, or [`ffi::NUMA_NO_NODE`].
    nid: Cell<c_int>,
    /// For one that is free: the number of the next one that is.
    next: Atomic<u32>,
}

ffi::impl_has_work!(Dispatcher, work);

// SAFETY: By the type invariant, the cells are touched by one thread at a time; taking a dispatcher out of
// `FREE` acquires what giving it back released, and the workqueue orders queueing before running.
// Tested by: mutant dispatcher-taken-without-acquire.
unsafe impl Sync for Dispatcher {}

pub(crate) static TABLE: [Dispatcher; DISPATCHERS] = {
    let mut table = [const {
        Dispatcher {
            work: Opaque::uninit(),
            domain: Cell::new(ptr::null()),
            nid: Cell::new(ffi::NUMA_NO_NODE),
            next: Atomic::new(NO_DISPATCHER),
        }
    }; DISPATCHERS];
    let mut i = 1;

    while i < DISPATCHERS {
        // CAST: A small number.
        table[i].next = Atomic::new(i as u32 - 1);
        i += 1;
    }
    table
};

/// The free dispatchers, a stack: the number of the first one in the lower half, and in the upper half a
/// number that each removal changes, so that a thread that was slow to look at the first one notices.
///
/// With [`DISPATCHER_WANTED`] in the lower half it is changed under the lock of [`WAITING`] only.
// CAST: A small number.
pub(crate) static FREE: Atomic<u64> = Atomic::new(DISPATCHERS as u64 - 1);

/// Returns the value of [`FREE`] with another lower half.
#[inline]
fn with_first(free: u64, number: u32) -> u64 {
    (free >> 32 << 32) | u64::from(number)
}

impl Dispatcher {
    pub(crate) fn get() -> Option<&'static Self> {
        let mut free = FREE.load(Acquire);

        loop {
            // CAST: The lower half.
            let dispatcher = TABLE.get(free as u32 as usize)?;
            // It may have been taken meanwhile; then the exchange fails.
            let next = u64::from(dispatcher.next.load(Relaxed));
            let removals = (free >> 32).wrapping_add(1) << 32;

            // Acquire: what its last user has done to it is done.
            match FREE.cmpxchg(free, removals | next, Acquire) {
                Ok(_) => return Some(dispatcher),
                // Not what the exchange has found: failing, it acquires nothing.
                Err(_) => free = FREE.load(Acquire),
            }
        }
    }

    /// Gives a dispatcher back. It may be used again before this returns.
    pub(crate) fn put(&'static self) {
        let mut free = FREE.load(Relaxed);

        loop {
            // CAST: The lower half.
            let first = free as u32;

            if first == DISPATCHER_WANTED {
                if self.hand_over() {
                    return;
                }
                free = FREE.load(Relaxed);
                continue;
            }
            self.next.store(first, Relaxed);
            match FREE.cmpxchg(free, with_first(free, self.number()), Release) {
                Ok(_) => return,
                Err(other) => free = other,
            }
        }
    }

    /// Gives a dispatcher to the domain that has waited longest; returns whether there was one.
    #[cold]
    #[inline(never)]
    // Tested by: mutant wanted-by-nobody, model dispatcher-wanted.
    fn hand_over(&'static self) -> bool {
        Waiting::locked(|waiting| {
            let Some(domain) = waiting.first() else {
                return false;
            };

            // SAFETY: A domain that waits has a queued task. The last one is dequeued under this lock, or by the
            // worker that begins with the dispatcher. So the domain is valid while we use it.
            let domain = unsafe { &*domain };

            waiting.remove(domain);
            domain.waiter.given.set(self.number());
            self.queue(domain, domain.waiter.nid.get());
            true
        })
    }

    /// Takes a dispatcher for a domain; has the domain wait for one if none is free.
    ///
    /// The domain's lock must be held, it must have queued tasks, the first of which is for `nid`, and have
    /// neither a dispatcher nor be waiting for one.
    #[inline]
    pub(crate) fn get_or_wait(domain: &AsyncDomain, nid: c_int) -> Option<&'static Self> {
        Self::get().or_else(|| Self::wait(domain, nid))
    }

    #[cold]
    #[inline(never)]
    fn wait(domain: &AsyncDomain, nid: c_int) -> Option<&'static Self> {
        Waiting::locked(|waiting| {
            while !waiting.want() {
                if let Some(dispatcher) = Self::get() {
                    return Some(dispatcher);
                }
            }
            waiting.push(domain, nid);
            None
        })
    }

    /// Takes the dispatcher with this number off the workqueue, or, for [`DISPATCHER_WANTED`], the one that the domain
    /// was given, or the domain out of those that wait; `false` if a worker has begun with the dispatcher.
    ///
    /// The domain's lock must be held.
    // Tested by: mutant cancel-of-begun-dispatcher, model dispatcher-cancel-by-two.
    pub(crate) fn dismiss(mut number: u32, domain: &AsyncDomain) -> bool {
        if number == DISPATCHER_WANTED {
            number = Waiting::locked(|waiting| {
                let given = domain.waiter.given.get();

                if given == NO_DISPATCHER {
                    waiting.remove(domain);
                }
                given
            });
        }
        // CAST: A number.
        if let Some(dispatcher) = TABLE.get(number as usize) {
            // SAFETY: The item was queued, and is static; the domain's lock keeps others from cancelling it.
            if !unsafe { queue::cancel(dispatcher.work()) } {
                return false;
            }
            dispatcher.put();
        }
        true
    }

    /// Puts a dispatcher that belongs to the caller on the workqueue, for a domain that has queued tasks, but
    /// no dispatcher there. The domain may be gone when this returns, unless its lock is held.
    // Tested by: kunit thousands_of_resources_in_two_queues, compile-fail table_key_outlived.
    pub(crate) fn queue(&'static self, domain: &AsyncDomain, nid: c_int) {
        // INVARIANT: It is ours, and not on the workqueue yet.
        self.domain.set(domain);
        self.nid.set(nid);
        // SAFETY: The item is static, and not queued: its last worker has begun with it, and does not touch
        // it any more, or it was taken off the workqueue. The node is one, or none.
        unsafe { queue::enqueue(ffi::init_work::<Self>(self), nid) };
    }

    // Tested by: model dispatcher-free-list.
    pub(crate) fn number(&'static self) -> u32 {
        // SAFETY: Both are in the table, which is one allocation.
        // CAST: The difference is less than the number of dispatchers.
        unsafe { ptr::from_ref(self).offset_from(TABLE.as_ptr()) as u32 }
    }

    /// The domain for which the dispatcher was queued, and the node, for the worker that begins with it.
    pub(crate) fn begun(&self) -> (*const AsyncDomain, c_int) {
        (self.domain.get(), self.nid.get())
    }
}

/// The domains that wait for a dispatcher, a list.
///
/// # Invariants
///
/// - Touched under its lock only.
/// - The domains in the list are valid, since they have queued tasks.
/// - [`FREE`] is [`DISPATCHER_WANTED`] if and only if there are any.
struct Waiting {
    first: Cell<*const AsyncDomain>,
    last: Cell<*const AsyncDomain>,
}

// SAFETY: The domains in the list may be used by any thread.
// Tested by: nothing.
unsafe impl Send for Waiting {}

static WAITING: StaticIrqLock<Waiting> = static_irq_lock!(
    spin async_domain_dispatcher_lock,
    Waiting {
        first: Cell::new(ptr::null()),
        last: Cell::new(ptr::null()),
    }
);

impl Waiting {
    /// Runs `f` with the lock held and interrupts off: it is taken under the domains' locks.
    fn locked<R>(f: impl FnOnce(&Self) -> R) -> R {
        WAITING.with(|waiting| f(&waiting))
    }

    /// The domain that has waited longest.
    fn first(&self) -> Option<*const AsyncDomain> {
        let first = self.first.get();

        (!first.is_null()).then_some(first)
    }

    /// Sees to it that no free dispatcher can be had from now on; `false` if there may be one.
    fn want(&self) -> bool {
        let free = FREE.load(Relaxed);

        // CAST: The lower half.
        match free as u32 {
            DISPATCHER_WANTED => true,
            NO_DISPATCHER => FREE
                .cmpxchg(free, with_first(free, DISPATCHER_WANTED), Relaxed)
                .is_ok(),
            _ => false,
        }
    }

    /// Appends a domain that has a queued task and no dispatcher, and whose lock is held.
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    fn push(&self, domain: &AsyncDomain, nid: c_int) {
        let last = self.last.replace(domain);

        domain.waiter.given.set(NO_DISPATCHER);
        domain.waiter.nid.set(nid);
        domain.waiter.prev.set(last);
        domain.waiter.next.set(ptr::null());
        // SAFETY: By the type invariant the domains in the list are valid.
        match unsafe { last.as_ref() } {
            Some(last) => last.waiter.next.set(domain),
            None => self.first.set(domain),
        }
    }

    /// Removes a domain, which must be in the list.
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    fn remove(&self, domain: &AsyncDomain) {
        let (prev, next) = (domain.waiter.prev.get(), domain.waiter.next.get());

        // SAFETY: By the type invariant the neighbours are valid or null.
        unsafe {
            match prev.as_ref() {
                Some(prev) => prev.waiter.next.set(next),
                None => self.first.set(next),
            }
            match next.as_ref() {
                Some(next) => next.waiter.prev.set(prev),
                None => self.last.set(prev),
            }
        }
        if self.first.get().is_null() {
            // INVARIANT: There are none any more. Nobody else changes it meanwhile.
            FREE.store(with_first(FREE.load(Relaxed), NO_DISPATCHER), Relaxed);
        }
    }
}
