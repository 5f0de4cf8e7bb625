// SPDX-License-Identifier: GPL-2.0

//! Domains on the heap, and their owner.
//!
//! # Why a domain is not pinned in place
//!
//! A domain is in the registry from the moment that it is made, so that its memory must not go before
//! it has been dropped. Pinning promises just that, but not in safe code alone: an initialiser may be
//! run in a `MaybeUninit` or an `Opaque`, which drop nothing when they are freed. So there is no
//! initialiser that a consumer could run. The domain is in an allocation of its own, which only the
//! destructor of its owner frees: to lose the owner leaks the domain, and nothing dangles.

use crate::domain::core::{
    domain::AsyncDomain,
    module_refs::Caller, //
};
use core::ops::Deref;
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::LockClassKey, //
};

/// Owns an [`AsyncDomain`] on the heap, and dereferences to it;
/// [`new_async_domain!`](crate::new_async_domain) makes it.
///
/// It can be moved at any time, also while the domain has tasks: a plain field of a driver's data will
/// do. Dropping it refuses new tasks and waits for the others; it must be done in process context, and
/// may sleep. Leaking it leaks the domain, whose tasks go on.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, AsyncDomain, OwnedDomain, Submit};
///
/// struct Driver {
///     bring_up: OwnedDomain,
/// }
///
/// fn probe_ports(domain: &AsyncDomain) -> Result {
///     for port in 0..2 {
///         domain.schedule(GFP_KERNEL, move |_| pr_info!("port {port}\n"))?;
///     }
///     Ok(())
/// }
///
/// let driver = Driver {
///     bring_up: new_async_domain!("bring_up", GFP_KERNEL)?,
/// };
/// probe_ports(&driver.bring_up)?;
/// driver.bring_up.synchronize(..)?;
/// # Ok::<(), Error>(())
/// ```
pub struct OwnedDomain(Pin<KBox<AsyncDomain>>);

impl OwnedDomain {
    /// Makes a domain; [`new_async_domain!`](crate::new_async_domain) calls this.
    ///
    /// The two lock classes are those of the domain's lock, and of its tasks (see
    /// [`AsyncDomain::synchronize`]).
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::OwnedDomain;
    /// use kernel::static_lock_class;
    ///
    /// let keys = [static_lock_class!(), static_lock_class!()];
    /// let domain = OwnedDomain::new(c"ports", keys, false, GFP_KERNEL)?;
    /// domain.synchronize(..)?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Context
    ///
    /// Any, with `flags` that fit it.
    // Inlined into the module that makes the domain.
    #[inline(always)]
    // Tested by: nothing: ; every boot runs it.
    pub fn new(
        name: &'static CStr,
        keys: [Pin<&'static LockClassKey>; 2],
        exclusive: bool,
        flags: Flags,
    ) -> Result<Self> {
        Self::new_in(name, keys, exclusive, Caller::here(), flags)
    }

    /// Makes a domain of a module.
    #[inline(never)]
    // Tested by: kunit memory_that_is_freed_without_being_dropped_leaks_the_domain.
    fn new_in(
        name: &'static CStr,
        keys: [Pin<&'static LockClassKey>; 2],
        exclusive: bool,
        owner: Caller,
        flags: Flags,
    ) -> Result<Self> {
        // SAFETY: A box is dropped before its memory is freed. The owner is the module that calls.
        let init = unsafe { AsyncDomain::init(name, keys, exclusive, owner.as_ptr()) };

        Ok(Self(KBox::pin_init(init, flags)?))
    }
}

impl Deref for OwnedDomain {
    type Target = AsyncDomain;

    #[inline]
    fn deref(&self) -> &AsyncDomain {
        &self.0
    }
}

/// Makes an [`OwnedDomain`] with the given name and newly-created lock classes; `ENOMEM` if there is no
/// memory.
///
/// With `exclusive`, [`synchronize_all`](crate::synchronize_all) leaves the domain alone (C's
/// `ASYNC_DOMAIN_EXCLUSIVE()`).
///
/// # Examples
///
/// ```
/// use async_domain::new_async_domain;
/// use kernel::sync::Arc;
///
/// let ports = new_async_domain!("ports", GFP_KERNEL)?;
/// let resume = new_async_domain!("resume", exclusive, GFP_KERNEL)?;
///
/// // One that tasks refer to is shared.
/// let disks = Arc::new(new_async_domain!("disks", GFP_KERNEL)?, GFP_KERNEL)?;
/// # drop((ports, resume, disks));
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! new_async_domain {
    ($($name:literal,)? exclusive, $flags:expr) => {
        $crate::new_async_domain!(@ [$($name)?] true, $flags)
    };
    ($name:literal, $flags:expr) => {
        $crate::new_async_domain!(@ [$name] false, $flags)
    };
    (@ [$($name:literal)?] $exclusive:literal, $flags:expr) => {
        $crate::OwnedDomain::new(
            $crate::__private::kernel::optional_name!($($name)?),
            [
                $crate::__private::kernel::static_lock_class!(),
                $crate::__private::kernel::static_lock_class!(),
            ],
            $exclusive,
            $flags,
        )
    };
    ($flags:expr) => {
        $crate::new_async_domain!(@ [] false, $flags)
    };
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_owned)]
mod tests {
    use super::*;
    use crate::{
        kunit,
        synchronize_all, //
        Submit,
    };
    use core::{
        mem::{
            self,
            MaybeUninit, //
        },
        ptr, //
    };
    use kernel::{
        sync::{
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc, //
        },
        types::Opaque, //
    };

    /// Takes a domain back that was leaked, for the sake of the leak detector.
    ///
    /// # Safety
    ///
    /// The owner must have been leaked.
    unsafe fn take_back(leaked: *const AsyncDomain) -> OwnedDomain {
        // SAFETY: It was made in a box, which nobody else has.
        OwnedDomain(unsafe { Pin::new_unchecked(KBox::from_raw(leaked.cast_mut())) })
    }

    #[test]
    fn memory_that_is_freed_without_being_dropped_leaks_the_domain() -> Result {
        let domains = [(); 2].map(|()| crate::new_async_domain!("lost", GFP_KERNEL));
        let [first, second] = domains;
        let (first, second) = (first?, second?);
        let leaked = [ptr::from_ref(&*first), ptr::from_ref(&*second)];
        let token = first.begin(GFP_KERNEL)?;

        // What pinning does not keep from being freed.
        let first = KBox::new(MaybeUninit::new(first), GFP_KERNEL)?;
        let second = KBox::new(Opaque::new(second), GFP_KERNEL)?;
        drop(first);
        drop(second);

        // The registry still has both, and one has a token.
        let waiter = kunit::Thread::spawn(synchronize_all)?;
        // SAFETY: The domain was leaked.
        let lost = unsafe { &*leaked[0] };
        assert!(kunit::eventually(|| lost.stats().waits == 1));
        token.finish();
        assert_eq!(waiter.join(), Ok(()));

        for domain in leaked {
            // SAFETY: Both were leaked above.
            drop(unsafe { take_back(domain) });
        }
        Ok(())
    }

    #[test]
    fn owners_move_while_tasks_run() -> Result {
        let (mut a, mut b) = (
            crate::new_async_domain!("a", GFP_KERNEL)?,
            crate::new_async_domain!("b", GFP_KERNEL)?,
        );
        let gate = kunit::Gate::new()?;
        let done = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;

        for domain in [&a, &b] {
            let (g, d) = (gate.clone(), done.clone());
            domain.schedule(GFP_KERNEL, move |context| {
                g.wait();
                d.add(i32::from(context.synchronize().is_ok()), Relaxed);
            })?;
        }
        let token = b.begin(GFP_KERNEL)?;
        let before = (a.lowest_in_progress(), b.lowest_in_progress());
        mem::swap(&mut a, &mut b);
        assert_eq!((b.lowest_in_progress(), a.lowest_in_progress()), before);

        gate.open();
        // To another thread, which drops it.
        kunit::Thread::spawn(move || drop(b))?.join();
        let replaced = mem::replace(&mut a, crate::new_async_domain!("c", GFP_KERNEL)?);
        drop(token);
        drop(replaced);
        assert_eq!(done.load(Relaxed), 2);
        a.synchronize(..)
    }

    #[test]
    fn without_memory_there_is_no_domain() {
        if kunit::lacks_failslab() {
            return;
        }
        let domain = kunit::without_memory(|| crate::new_async_domain!("kunit", GFP_NOWAIT));
        assert!(matches!(domain, Err(e) if e == ENOMEM));
    }
}
