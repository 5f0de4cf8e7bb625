// SPDX-License-Identifier: GPL-2.0

//! The registered domains, which [`synchronize_all`] waits for.
//!
//! A domain is entered when it is first used, so that no task but the first pays for it, and taken
//! out when it is dropped. A domain that is never dropped, since it was leaked or is `static`, is
//! taken out when the module goes that made it. Nothing is shared between domains otherwise.
//!
//! `synchronize_all` *visits* one domain after the other. A visited domain is not empty, although it
//! may have no task: its frontier is [`Cookie::IDLE`], not [`Cookie::UNUSED`], and whoever wants it
//! gone waits for the latter.

use super::{
    AsyncDomain,
    Cookie, //
};
use crate::{
    ffi,
    wait::WaitMode, //
};
use core::{
    cell::UnsafeCell,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Release, //
        },
        Atomic, //
    },
};

/// The part of a domain that the registry uses.
pub(super) struct Links {
    /// Whether the domain is in the registry, or wants not to be.
    settled: Atomic<bool>,
    links: UnsafeCell<(*const AsyncDomain, *const AsyncDomain)>,
}

impl Links {
    /// Makes links for a domain that is not in the registry; `exclusive` ones never will be.
    pub(super) const fn new(exclusive: bool) -> Self {
        Self {
            settled: Atomic::new(exclusive),
            links: UnsafeCell::new((ptr::null(), ptr::null())),
        }
    }
}

/// The first registered domain.
struct First(UnsafeCell<*const AsyncDomain>);

// SAFETY: It is only touched under the registry's lock.
unsafe impl Sync for First {}

static FIRST: First = First(UnsafeCell::new(ptr::null()));

/// Runs `f` with the registry's lock held and interrupts off.
pub(super) fn locked<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: The lock is a static one. It is given back below, by the same thread, last in, first
    // out.
    let flags = unsafe { ffi::registry_lock() };
    let ret = f();
    // SAFETY: As above.
    unsafe { ffi::registry_unlock(flags) };
    ret
}

/// Enters the domain into the registry, unless it is exclusive or there already.
#[inline]
pub(super) fn enter(domain: &AsyncDomain) {
    if !domain.registry().settled.load(Acquire) {
        enter_slow(domain);
    }
}

#[cold]
fn enter_slow(domain: &AsyncDomain) {
    locked(|| {
        if domain.registry().settled.load(Acquire) {
            return;
        }
        // SAFETY: The lock is held. Domains in the list are valid: they are taken out before they
        // are gone.
        unsafe {
            let first = *FIRST.0.get();

            *domain.registry().links.get() = (ptr::null(), first);
            if let Some(first) = first.as_ref() {
                (*first.registry().links.get()).0 = domain;
            }
            *FIRST.0.get() = domain;
        }
        domain.registry().settled.store(true, Release);
    });
}

/// Takes the domain out of the registry.
///
/// # Safety
///
/// The registry's lock must be held, and the domain must be in the registry.
unsafe fn unlink(domain: &AsyncDomain) {
    // SAFETY: The lock is held, and the domain and its neighbours in the list are valid.
    unsafe {
        let (prev, next) = *domain.registry().links.get();

        match prev.as_ref() {
            Some(prev) => (*prev.registry().links.get()).1 = next,
            None => *FIRST.0.get() = next,
        }
        if let Some(next) = next.as_ref() {
            (*next.registry().links.get()).0 = prev;
        }
    }
}

/// Takes a domain that is being dropped, and has no task left, out of the registry; waits for its
/// visitors.
pub(super) fn leave(domain: &AsyncDomain, exclusive: bool) {
    if exclusive || !domain.registry().settled.load(Acquire) {
        // Never entered: there is no visitor.
        return;
    }
    while !locked(|| {
        // A visitor comes with the registry's lock held. Without one now, and none after we have
        // left the list, there will be none.
        let unused = domain.frontier() == Cookie::UNUSED;
        if unused {
            // SAFETY: The lock is held, and the domain was entered.
            unsafe { unlink(domain) };
        }
        unused
    }) {
        domain.wait_unused();
    }
}

/// Waits until all registered domains, one after the other, have been seen empty, over and over
/// until all of them were found so at the first look (C's `async_synchronize_full()`).
///
/// Tasks of exclusive domains are not waited for.
///
/// # Errors
///
/// `EDEADLK`: the calling thread is inside a task of a registered domain.
///
/// # Context
///
/// Process context; may sleep.
pub fn synchronize_all() -> Result {
    while visit_all()? {}
    Ok(())
}

/// Waits for each registered domain in turn; returns whether there was anything to wait for.
fn visit_all() -> Result<bool> {
    let mut waited = false;
    let mut ret = Ok(());
    // SAFETY: The lock is held, and domains in the list are valid.
    let mut next = locked(|| unsafe { (*FIRST.0.get()).as_ref() }.inspect(|d| d.visit()));

    while let Some(domain) = next {
        if ret.is_ok() && domain.frontier() < Cookie::IDLE {
            waited = true;
            ret = domain.synchronize_full_with(WaitMode::UNINTERRUPTIBLE);
        }

        next = locked(|| {
            // SAFETY: The lock is held; the domain is still in the list, since it has a visitor, and
            // its successor is valid.
            let next = unsafe { (*domain.registry().links.get()).1.as_ref() };

            if let Some(next) = next {
                next.visit();
            }
            domain.end_visit();
            next
        });
        if ret.is_err() {
            // Leave the one that has just been visited, and go no further.
            if let Some(domain) = next.take() {
                domain.end_visit();
            }
        }
    }
    ret.map(|()| waited)
}

/// Takes the domains of a module out of the registry when the module goes.
pub(crate) struct OwnerGone;

impl ffi::ModuleGoing for OwnerGone {
    fn going(module: *mut ffi::module) {
        loop {
            // A domain of this module that is still there was leaked or is static. It has no task:
            // each one would hold the module. It may have a visitor.
            let visited = locked(|| {
                // SAFETY: The lock is held, and domains in the list are valid.
                let mut next = unsafe { (*FIRST.0.get()).as_ref() };

                while let Some(domain) = next {
                    // SAFETY: As above.
                    next = unsafe { (*domain.registry().links.get()).1.as_ref() };
                    if ptr::eq(domain.owner(), module) {
                        if domain.frontier() != Cookie::UNUSED {
                            return Some(domain);
                        }
                        // SAFETY: The lock is held, and the domain was entered.
                        unsafe { unlink(domain) };
                    }
                }
                None
            });

            match visited {
                Some(domain) => domain.wait_unused(),
                None => return,
            }
        }
    }
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
    use kernel::sync::Arc;

    crate::static_domain!(static REGISTERED);
    crate::static_domain!(static EXCLUSIVE, exclusive);

    #[test]
    fn all_means_all_registered_domains() -> Result {
        let heap = Arc::pin_init(crate::new_async_domain!("kunit"), GFP_KERNEL)?;
        let exclusive = Arc::pin_init(crate::new_async_domain!("kunit", exclusive), GFP_KERNEL)?;
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
    fn a_visited_domain_is_not_dropped() -> Result {
        let domain = KBox::pin_init(crate::new_async_domain!("kunit"), GFP_KERNEL)?;
        let token = domain.begin(GFP_KERNEL)?;
        // A visitor that is slow to leave.
        domain.visit();
        // SAFETY: It is not used after the thread below has dropped it.
        let visited: &'static AsyncDomain = unsafe { &*(&raw const *domain) };
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
            let domain = KBox::pin_init(crate::new_async_domain!("kunit"), GFP_KERNEL)?;
            domain.schedule(|_| (), GFP_KERNEL)?;
            let _token = domain.begin(GFP_KERNEL)?;
        }
        assert_eq!(visitor.join(), Ok(()));
        Ok(())
    }
}
