// SPDX-License-Identifier: GPL-2.0

//! The registry of domains: what [`synchronize_all`] waits for, and what is left of a module that
//! goes.
//!
//! A domain is entered when it is made, so that no task pays for it, and taken out when it is dropped.
//! A domain that is never dropped, since it was leaked or is `static`, is taken out when the module
//! goes that made it. Nothing is shared between domains otherwise.
//!
//! `synchronize_all` *visits* one domain after the other, but for the exclusive ones. A visited domain
//! is not unused, although it may have no task: its frontier is [`Cookie::IDLE`], not
//! [`Cookie::UNUSED`], and whoever wants it gone waits for the latter.

use super::{
    running::Run,
    AsyncDomain,
    Cookie, //
};
use crate::{
    errno::EDEADLK,
    ffi::{
        self,
        irq_lock::{
            static_irq_lock,
            StaticIrqLock, //
        },
    },
    wait::WaitMode, //
};
use core::{
    cell::UnsafeCell,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

/// The part of a domain that the registry uses.
///
/// # Invariants
///
/// Touched under the registry's lock only. While `linked`, the domain is in the list, and its
/// neighbours are valid.
pub(super) struct Links {
    list: UnsafeCell<List>,
}

struct List {
    linked: bool,
    prev: *const AsyncDomain,
    next: *const AsyncDomain,
    /// From 1 on, in the order in which domains are entered: the list is sorted by it, highest first.
    number: u64,
}

impl Links {
    /// Makes links for a domain that is not in the registry.
    pub(super) const fn new() -> Self {
        Self {
            list: UnsafeCell::new(List {
                linked: false,
                prev: ptr::null(),
                next: ptr::null(),
                number: 0,
            }),
        }
    }
}

/// The first domain in the list.
struct First(UnsafeCell<*const AsyncDomain>);

// SAFETY: It is only touched under the registry's lock.
// Tested by: mutant visitors-not-counted, mutant exclusive-domains-visited.
unsafe impl Sync for First {}

static FIRST: First = First(UnsafeCell::new(ptr::null()));

/// The number of the domain that was entered last.
static LAST_NUMBER: Atomic<u64> = Atomic::new(0);

static LOCK: StaticIrqLock<()> = static_irq_lock!(spin async_domain_registry_lock, ());

/// Runs `f` with the registry's lock held and interrupts off.
pub(super) fn locked<R>(f: impl FnOnce() -> R) -> R {
    LOCK.with(|_| f())
}

/// All domains.
///
/// # Safety
///
/// The registry's lock must be held as long as the iterator is used, and the domains not be used
/// longer unless they are visited.
// Tested by: mutant visitors-not-counted, mutant exclusive-domains-visited.
unsafe fn domains() -> impl Iterator<Item = &'static AsyncDomain> {
    // SAFETY: The lock is held, and domains in the list are valid.
    core::iter::successors(unsafe { (*FIRST.0.get()).as_ref() }, |domain| unsafe {
        (*domain.registry().list.get()).next.as_ref()
    })
}

/// Enters a new domain into the registry.
///
/// # Safety
///
/// The registry's lock must be held, and the domain be pinned, and not have been entered.
// Tested by: mutant visitors-not-counted, mutant exclusive-domains-visited.
pub(super) unsafe fn enter(domain: &AsyncDomain) {
    // SAFETY: The lock is held. Domains in the list are valid: they are taken out before they are
    // gone.
    unsafe {
        let first = *FIRST.0.get();

        *domain.registry().list.get() = List {
            linked: true,
            prev: ptr::null(),
            next: first,
            number: LAST_NUMBER.fetch_add(1, Relaxed) + 1,
        };
        if let Some(first) = first.as_ref() {
            (*first.registry().list.get()).prev = domain;
        }
        *FIRST.0.get() = domain;
    }
}

/// Calls `f`, with the registry's lock held, with the registered domain that has the lowest number from
/// this one on, and with its number. `None` if there is no such domain.
// Tested by: kunit domains_are_found_by_number_while_they_are_there, test debugfs.
pub(super) fn with_next<R>(from: u64, f: impl FnOnce(u64, &AsyncDomain) -> R) -> Option<R> {
    locked(|| {
        // SAFETY: The lock is held, under which numbers are given, and while which domains in the list
        // stay there.
        unsafe {
            let number = |domain: &AsyncDomain| (*domain.registry().list.get()).number;
            let domain = domains().take_while(|d| number(d) >= from).last()?;

            Some(f(number(domain), domain))
        }
    })
}

/// Takes the domain out of the list, if it is there.
///
/// # Safety
///
/// The registry's lock must be held.
// Tested by: mutant visitors-not-counted, mutant exclusive-domains-visited.
unsafe fn unlink(domain: &AsyncDomain) {
    // SAFETY: The lock is held, and the domain's neighbours in the list are valid.
    unsafe {
        let list = &mut *domain.registry().list.get();

        if !core::mem::replace(&mut list.linked, false) {
            return;
        }
        match list.prev.as_ref() {
            Some(prev) => (*prev.registry().list.get()).next = list.next,
            None => *FIRST.0.get() = list.next,
        }
        if let Some(next) = list.next.as_ref() {
            (*next.registry().list.get()).prev = list.prev;
        }
    }
}

/// Takes a domain that is being dropped, and has no task left, out of the registry; waits for its
/// visitors.
// Tested by: mutant visitors-not-counted, mutant exclusive-domains-visited.
pub(super) fn leave(domain: &AsyncDomain) {
    while !locked(|| {
        // A visitor comes with the registry's lock held. Without one now, and none after we have
        // left the list, there will be none.
        let unused = domain.frontier() == Cookie::UNUSED;
        if unused {
            // SAFETY: The lock is held.
            unsafe { unlink(domain) };
        }
        unused
    }) {
        domain.wait_unused("which is being dropped");
    }
}

/// Waits until all registered domains, one after the other, have been seen empty, over and over
/// until all of them were found so at the first look (C's `async_synchronize_full()`).
///
/// Tasks of exclusive domains are not waited for.
///
/// # Errors
///
/// `EDEADLK`: the calling thread is inside a task of a domain that is not exclusive.
///
/// # Context
///
/// Process context; may sleep.
// Tested by: kunit a_visited_domain_is_not_dropped.
pub fn synchronize_all() -> Result {
    if locked(|| {
        // SAFETY: The registry's lock is held.
        Run::any(|run| unsafe { run.domain() }.is_some_and(|domain| !domain.exclusive))
    }) {
        return Err(EDEADLK);
    }
    while visit_all()? {}
    Ok(())
}

/// The first of the domains that is not exclusive, visited.
fn visit(mut domains: impl Iterator<Item = &'static AsyncDomain>) -> Option<&'static AsyncDomain> {
    domains
        .find(|domain| !domain.exclusive)
        .inspect(|domain| domain.visit())
}

/// Waits for each registered domain in turn; returns whether there was anything to wait for.
// Tested by: mutant visitors-not-counted, mutant exclusive-domains-visited.
fn visit_all() -> Result<bool> {
    let mut waited = false;
    // SAFETY: The lock is held, and the domain is visited.
    let mut current = locked(|| visit(unsafe { domains() }));

    while let Some(domain) = current {
        let ret = if domain.frontier() < Cookie::IDLE {
            waited = true;
            domain.synchronize_full_with(WaitMode::UNINTERRUPTIBLE)
        } else {
            Ok(())
        };

        current = locked(|| {
            // SAFETY: The lock is held. The domain is still in the list, since it has a visitor.
            let rest = unsafe { domains() }
                .skip_while(|other| !ptr::eq(*other, domain))
                .skip(1);
            let next = if ret.is_ok() { visit(rest) } else { None };

            domain.end_visit();
            next
        });
        ret?;
    }
    Ok(waited)
}

/// Closes the domains that a module has made, which goes, and takes those out of the registry that nobody
/// uses; returns whether that is all of them.
// Tested by: mutant disowned-keeps-classes, kunit a_disowned_domain_has_nothing_of_its_maker.
pub(super) fn disown(module: *mut ffi::module) -> bool {
    // A domain is not touched without the lock, since its holder may drop it.
    locked(|| {
        // SAFETY: The lock is held.
        let owned = unsafe { domains() }.filter(|domain| ptr::eq(domain.owner(), module));

        let mut all = true;
        for domain in owned {
            if domain.frontier() == Cookie::UNUSED {
                domain.disown();
                // SAFETY: The lock is held. What the iterator goes on to is another domain, which
                // cannot leave the registry, nor be dropped, without the lock.
                unsafe { unlink(domain) };
            } else {
                all = false;
            }
        }
        all
    })
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_registry)]
mod tests {
    use super::*;
    use crate::kunit::{
        eventually,
        settle,
        Thread, //
    };

    crate::static_domain!(static REGISTERED);
    crate::static_domain!(static EXCLUSIVE, exclusive);

    #[test]
    fn all_means_all_registered_domains() -> Result {
        let heap = crate::kunit::domain()?;
        let exclusive = crate::new_async_domain!("kunit", exclusive, GFP_KERNEL)?;
        let _left_alone = (exclusive.begin(GFP_KERNEL)?, EXCLUSIVE.begin(GFP_KERNEL)?);
        assert_eq!(synchronize_all(), Ok(()));

        for domain in [&*REGISTERED, &*heap] {
            let token = domain.begin(GFP_KERNEL)?;
            let waits = domain.stats().waits;
            let waiter = Thread::spawn(synchronize_all)?;
            assert!(eventually(|| domain.stats().waits == waits + 1));
            token.finish();
            assert_eq!(waiter.join(), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn tasks_of_exclusive_domains_can_wait_for_all() -> Result {
        assert_eq!(
            EXCLUSIVE
                .schedule_with_handle(|_| synchronize_all(), GFP_KERNEL)?
                .join(),
            Ok(Ok(()))
        );
        assert_eq!(
            REGISTERED
                .schedule_with_handle(|_| synchronize_all(), GFP_KERNEL)?
                .join(),
            Ok(Err(EDEADLK))
        );
        Ok(())
    }

    #[test]
    fn a_visited_domain_is_not_dropped() -> Result {
        let domain = crate::new_async_domain!("kunit", GFP_KERNEL)?;
        let token = domain.begin(GFP_KERNEL)?;
        // A visitor that is slow to leave.
        domain.visit();
        // SAFETY: It is not used after the thread below has dropped it.
        let visited: &'static AsyncDomain = unsafe { &*core::ptr::from_ref(&*domain) };
        let dropper = Thread::spawn(move || drop(domain))?;

        token.finish();
        settle();
        assert_eq!(visited.frontier(), Cookie::IDLE);
        visited.end_visit();
        dropper.join();
        Ok(())
    }

    #[test]
    fn domains_come_and_go_during_visits() -> Result {
        let visitor = Thread::spawn(|| (0..50).try_for_each(|_| synchronize_all()))?;

        for _ in 0..50 {
            let domain = crate::new_async_domain!("kunit", GFP_KERNEL)?;
            domain.schedule(|_| (), GFP_KERNEL)?;
            let _token = domain.begin(GFP_KERNEL)?;
        }
        assert_eq!(visitor.join(), Ok(()));
        Ok(())
    }
}
