// SPDX-License-Identifier: GPL-2.0

//! Domains in static memory.

use crate::{
    domain::core::{
        domain::AsyncDomain,
        registry, //
    },
    ffi, //
};
use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    ops::Deref, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Release, //
            },
            Atomic, //
        },
        LockClassKey, //
    }, //
};

/// A `static` domain, as C's `ASYNC_DOMAIN()` and `ASYNC_DOMAIN_EXCLUSIVE()` declare them;
/// [`static_domain!`](crate::static_domain) makes it. It dereferences to an [`AsyncDomain`].
///
/// It is never dropped. Its module cannot be unloaded while it has unfinished tasks.
///
/// # Examples
///
/// ```
/// use async_domain::{static_domain, StaticDomain};
///
/// static_domain!(static PROBES);
///
/// fn flush(domain: &'static StaticDomain) -> Result {
///     domain.synchronize(..)
/// }
///
/// flush(&PROBES)?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `domain` is initialised if `ready` is true, and then for ever.
pub struct StaticDomain {
    ready: Atomic<bool>,
    domain: UnsafeCell<MaybeUninit<AsyncDomain>>,
    name: &'static CStr,
    exclusive: bool,
    keys: fn() -> [Pin<&'static LockClassKey>; 2],
    owner: *mut ffi::module,
}

// SAFETY: The domain is initialised by one thread under the registry's lock, and used through
// shared references by those that have seen it ready. The owner is only compared and counted.
// Tested by: kunit all_means_all_registered_domains, test foreign-driver.
unsafe impl Sync for StaticDomain {}

impl StaticDomain {
    /// Use [`static_domain!`](crate::static_domain).
    ///
    /// # Safety
    ///
    /// The value must be the initial value of a `static` of the calling crate.
    #[doc(hidden)]
    #[inline(always)]
    pub const unsafe fn new(
        name: &'static CStr,
        exclusive: bool,
        keys: fn() -> [Pin<&'static LockClassKey>; 2],
    ) -> Self {
        // INVARIANT: It is not ready.
        Self {
            ready: Atomic::new(false),
            domain: UnsafeCell::new(MaybeUninit::uninit()),
            name,
            exclusive,
            keys,
            owner: ffi::this_module(),
        }
    }

    /// Initialises the domain, unless another thread has done it.
    ///
    /// A lock cannot be initialised at compile time where it may have a lockdep map, so it happens
    /// at the first use, which may be in any context.
    #[cold]
    // Tested by: kunit all_means_all_registered_domains, test foreign-driver.
    fn init(&self) {
        registry::locked(|registry| {
            if self.ready.load(Acquire) {
                return;
            }
            // SAFETY: The memory is static, and nobody uses it: it is not ready, and the lock keeps
            // others from initialising it. The owner is the crate of the static.
            unsafe {
                AsyncDomain::init_raw(
                    self.domain.get().cast(),
                    self.name,
                    (self.keys)(),
                    self.exclusive,
                    self.owner,
                );
                registry.enter(&*self.domain.get().cast());
            }
            // INVARIANT: The domain has just been initialised.
            self.ready.store(true, Release);
        });
    }
}

impl Deref for StaticDomain {
    type Target = AsyncDomain;

    #[inline]
    // Tested by: kunit all_means_all_registered_domains, test foreign-driver.
    fn deref(&self) -> &AsyncDomain {
        if !self.ready.load(Acquire) {
            self.init();
        }
        // SAFETY: By the type invariant, and no mutable reference to it is ever made.
        unsafe { (*self.domain.get()).assume_init_ref() }
    }
}

/// Declares a `static` domain (C's `ASYNC_DOMAIN()`).
///
/// With `exclusive`, [`synchronize_all`](crate::synchronize_all) leaves it alone (C's
/// `ASYNC_DOMAIN_EXCLUSIVE()`).
///
/// # Examples
///
/// ```
/// use async_domain::{static_domain, Submit};
///
/// static_domain!(static PROBES);
/// static_domain!(
///     /// Not waited for by `synchronize_all()`.
///     static RESUME, exclusive
/// );
///
/// PROBES.schedule(GFP_KERNEL, |_| pr_info!("probing\n"))?;
/// PROBES.synchronize(..)?;
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
// Tested by: compile-fail static_domain_by_hand.
macro_rules! static_domain {
    ($(#[$attr:meta])* $vis:vis static $name:ident) => {
        $crate::static_domain!(@ [$(#[$attr])*] [$vis] $name false);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident, exclusive) => {
        $crate::static_domain!(@ [$(#[$attr])*] [$vis] $name true);
    };
    (@ [$(#[$attr:meta])*] [$vis:vis] $name:ident $exclusive:literal) => {
        $(#[$attr])*
        $vis static $name: $crate::StaticDomain = {
            const NAME: &$crate::__private::kernel::str::CStr = $crate::__private::kernel::c_str!(
                $crate::__private::core::stringify!($name)
            );
            const EXCLUSIVE: bool = $exclusive;

            fn keys() -> [
                $crate::__private::core::pin::Pin<
                    &'static $crate::__private::kernel::sync::LockClassKey
                >; 2
            ] {
                [
                    $crate::__private::kernel::static_lock_class!(),
                    $crate::__private::kernel::static_lock_class!(),
                ]
            }

            // SAFETY: This is the initial value of a static.
            unsafe { $crate::StaticDomain::new(NAME, EXCLUSIVE, keys) }
        };
    };
}
