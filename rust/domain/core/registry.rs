// SPDX-License-Identifier: GPL-2.0

//! The registry of domains: what [`synchronize_all`](crate::synchronize_all) waits for, and what is left of a module that
//! goes.
//!
//! A domain is entered when it is made, so that no task pays for it, and taken out when it is dropped.
//! A domain that is never dropped, since it was leaked or is `static`, is taken out when the module
//! goes that made it. Nothing is shared between domains otherwise.
//!
//! `synchronize_all` *pins* one domain after the other, but for the exclusive ones. A pinned domain
//! is not unused, although it may have no task: its frontier is [`Cookie::IDLE`], not
//! [`Cookie::UNUSED`], and whoever wants it gone waits for the latter.

use super::domain::{
    AsyncDomain,
    RegistryList, //
};
use crate::ffi::{
    self,
    irq_lock::{
        static_irq_lock,
        StaticIrqLock, //
    }, //
};
use core::{
    cell::UnsafeCell,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        LockClassKey, //
    }, //
};

/// The first domain in the list.
struct First(UnsafeCell<*const AsyncDomain>);

// SAFETY: It is only touched under the registry's lock.
// Tested by: mutant pins-not-counted, mutant exclusive-domains-pinned.
unsafe impl Sync for First {}

static FIRST: First = First(UnsafeCell::new(ptr::null()));

/// The number of the domain that was entered last.
static LAST_NUMBER: Atomic<u64> = Atomic::new(0);

static LOCK: StaticIrqLock<()> = static_irq_lock!(spin async_domain_registry_lock, ());

/// Runs `f` with the registry's lock held and interrupts off.
pub(crate) fn locked<R>(f: impl FnOnce() -> R) -> R {
    LOCK.with(|_| f())
}

/// All domains.
///
/// # Safety
///
/// The registry's lock must be held as long as the iterator is used, and the domains not be used
/// longer unless they are pinned.
// Tested by: mutant pins-not-counted, mutant exclusive-domains-pinned.
pub(crate) unsafe fn domains() -> impl Iterator<Item = &'static AsyncDomain> {
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
// Tested by: mutant pins-not-counted, mutant exclusive-domains-pinned.
pub(crate) unsafe fn enter(domain: &AsyncDomain) {
    // SAFETY: The lock is held. Domains in the list are valid: they are taken out before they are
    // gone.
    unsafe {
        let first = *FIRST.0.get();

        *domain.registry().list.get() = RegistryList {
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
pub(crate) fn with_next<R>(from: u64, f: impl FnOnce(u64, &AsyncDomain) -> R) -> Option<R> {
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
// Tested by: mutant pins-not-counted, mutant exclusive-domains-pinned.
pub(crate) unsafe fn unlink(domain: &AsyncDomain) {
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

impl AsyncDomain {
    /// An initialiser of a domain, which enters it into the registry.
    ///
    /// # Safety
    ///
    /// The domain must be dropped before its memory is freed, which a pinned initialiser alone does not
    /// guarantee. `owner` must be null or the module that makes the domain.
    // Tested by: nothing: ; every boot runs it.
    pub(crate) unsafe fn init(
        name: &'static CStr,
        keys: [Pin<&'static LockClassKey>; 2],
        exclusive: bool,
        owner: *mut ffi::module,
    ) -> impl PinInit<Self> {
        let init = move |slot: *mut Self| {
            // SAFETY: `slot` is valid for writing, and pinned from now on, since this is a pinned
            // initialiser. The caller promises the rest: that `owner` makes the domain, and that it is
            // dropped, and so leaves the registry, before it is gone.
            unsafe {
                Self::init_raw(slot, name, keys, exclusive, owner);
                locked(|| enter(&*slot));
            }
            Ok(())
        };

        // SAFETY: `init_raw` initialises all fields, and does not fail.
        unsafe { pin_init::pin_init_from_closure(init) }
    }
}
