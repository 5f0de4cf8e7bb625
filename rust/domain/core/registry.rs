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

use super::domain::AsyncDomain;
use crate::ffi::{
    self,
    irq_lock::{
        static_irq_lock,
        StaticIrqLock, //
    }, //
};
use core::{
    cell::Cell,
    iter,
    ops::Deref,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::LockClassKey, //
};

/// All domains, a list, and what is known of modules.
///
/// # Invariants
///
/// The domains in the list are valid: they are taken out before they are gone.
pub(crate) struct Registry {
    first: Cell<*const AsyncDomain>,
    /// The number of the domain that was entered last.
    last_number: Cell<u64>,
    /// See [`coming`](super::coming).
    pub(super) coming: KVec<*mut ffi::module>,
}

// SAFETY: The domains in the list may be used by any thread. Modules are compared only.
// Tested by: mutant pins-not-counted, mutant exclusive-domains-pinned.
unsafe impl Send for Registry {}

static REGISTRY: StaticIrqLock<Registry> = static_irq_lock!(
    spin async_domain_registry_lock,
    Registry {
        first: Cell::new(ptr::null()),
        last_number: Cell::new(0),
        coming: KVec::new(),
    }
);

/// Runs `f` with the registry's lock held and interrupts off.
pub(crate) fn locked<R>(f: impl FnOnce(&mut Registry) -> R) -> R {
    REGISTRY.with(|mut registry| f(&mut registry))
}

impl Registry {
    /// All domains; the one that is handed out may be taken out.
    // Tested by: mutant pins-not-counted, mutant exclusive-domains-pinned.
    pub(crate) fn domains(&self) -> impl Iterator<Item = &AsyncDomain> {
        // SAFETY: By the type invariant, and since the lock is held while `self` is borrowed.
        let at = |domain: *const AsyncDomain| unsafe { domain.as_ref() };

        iter::successors(at(self.first.get()), move |domain: &&AsyncDomain| {
            at(domain.registry.next.get())
        })
    }

    /// Enters a new domain.
    ///
    /// # Safety
    ///
    /// The domain must be pinned, and not have been entered. It must be [unlinked](Self::unlink) before it is gone.
    pub(crate) unsafe fn enter(&self, domain: &AsyncDomain) {
        let (links, number) = (&domain.registry, self.last_number.get() + 1);

        self.last_number.set(number);
        links.linked.set(true);
        links.prev.set(ptr::null());
        links.next.set(self.first.get());
        links.number.set(number);
        if let Some(first) = self.domains().next() {
            first.registry.prev.set(domain);
        }
        // INVARIANT: The caller promises that it stays valid.
        self.first.set(domain);
    }

    /// Takes a domain out of the list, if it is there.
    // Tested by: mutant pins-not-counted, mutant exclusive-domains-pinned.
    pub(crate) fn unlink(&self, domain: &AsyncDomain) {
        let links = &domain.registry;

        if !links.linked.replace(false) {
            return;
        }
        let (prev, next) = (links.prev.get(), links.next.get());
        // SAFETY: The domain was in the list, and so its neighbours are valid or null.
        let (before, after) = unsafe { (prev.as_ref(), next.as_ref()) };
        match before {
            Some(before) => before.registry.next.set(next),
            None => self.first.set(next),
        }
        if let Some(after) = after {
            after.registry.prev.set(prev);
        }
    }

    /// Pins the first domain after another one, or of all, that is not exclusive.
    pub(crate) fn pin_after(&self, domain: Option<&AsyncDomain>) -> Option<Pinned> {
        let mut domains = self.domains();

        if let Some(domain) = domain {
            domains.find(|other| ptr::eq(*other, domain));
        }
        domains.find(|domain| !domain.exclusive).map(Pinned::new)
    }

    /// Pins the domain at this address, if there is one.
    pub(crate) fn pin_at(&self, domain: *const AsyncDomain) -> Option<Pinned> {
        self.domains()
            .find(|other| ptr::eq(*other, domain))
            .map(Pinned::new)
    }
}

/// A domain that is not dropped before it is [unpinned](Self::unpin).
///
/// # Invariants
///
/// The domain is valid, and has a pin for this.
pub(crate) struct Pinned(*const AsyncDomain);

impl Pinned {
    /// Pins a domain. The registry's lock must be held.
    pub(crate) fn new(domain: &AsyncDomain) -> Self {
        domain.pin();
        // INVARIANT: It was pinned just now; whoever drops it waits for that, or comes after it to the lock.
        Self(domain)
    }

    /// Gives the pin up.
    pub(crate) fn unpin(self, _: &Registry) {
        AsyncDomain::unpin(&self);
    }
}

impl Deref for Pinned {
    type Target = AsyncDomain;

    // Tested by: mutant pins-not-counted, kunit a_visited_domain_is_not_dropped.
    fn deref(&self) -> &AsyncDomain {
        // SAFETY: By the type invariant.
        unsafe { &*self.0 }
    }
}

/// Calls `f`, with the registry's lock held, with the registered domain that has the lowest number from
/// this one on, and with its number. `None` if there is no such domain.
pub(crate) fn with_next<R>(from: u64, f: impl FnOnce(u64, &AsyncDomain) -> R) -> Option<R> {
    locked(|registry| {
        let domain = registry
            .domains()
            .take_while(|domain| domain.registry.number.get() >= from)
            .last()?;

        Some(f(domain.registry.number.get(), domain))
    })
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
                locked(|registry| registry.enter(&*slot));
            }
            Ok(())
        };

        // SAFETY: `init_raw` initialises all fields, and does not fail.
        unsafe { pin_init::pin_init_from_closure(init) }
    }
}
