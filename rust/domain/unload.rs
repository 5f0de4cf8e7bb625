// SPDX-License-Identifier: GPL-2.0

//! What must be over before the memory of a module is freed.
//!
//! A module that is unloaded has no reference left, and so no task. One whose init function has failed is
//! freed regardless of its reference count, so that its tasks are waited for here. Only modules that got a
//! reference from this library while they were coming are waited for: what others refer to is not our affair.
//!
//! In either case domains may be left that the module has made: they were leaked, are static, or are held by
//! another module.

use super::{
    overdue,
    registry, //
};
use crate::ffi;
use core::cell::UnsafeCell;
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// The modules that have got a reference while they were coming, until they are live or gone. Compared only.
///
/// There are as many as are being loaded at this moment. A stale one, of a module that came alive or went
/// just then, does no harm.
struct Expected(UnsafeCell<KVec<*mut ffi::module>>);

// SAFETY: It is only touched under the registry's lock.
// Tested by: kunit any_number_of_modules_is_coming.
unsafe impl Sync for Expected {}

static EXPECTED: Expected = Expected(UnsafeCell::new(KVec::new()));

impl Expected {
    /// Runs `f` with the modules, under the registry's lock.
    // Tested by: mutant scope-does-not-wait, kunit tasks_borrow_from_the_caller.
    fn with<R>(&self, f: impl FnOnce(&mut KVec<*mut ffi::module>) -> R) -> R {
        // SAFETY: The lock is held, and there is no other way to the modules.
        registry::locked(|| f(unsafe { &mut *self.0.get() }))
    }
}

/// A module that is coming is about to get a reference. Fails with `ENOMEM`. May be called in any context.
#[cold]
#[inline(never)]
pub(super) fn expect(module: *mut ffi::module) -> Result {
    EXPECTED.with(|modules| {
        if !modules.contains(&module) {
            modules.push(module, GFP_ATOMIC)?;
        }
        Ok(())
    })
}

fn is_expected(module: *mut ffi::module) -> bool {
    EXPECTED.with(|modules| modules.contains(&module))
}

fn forget(module: *mut ffi::module) {
    EXPECTED.with(|modules| {
        modules.retain(|other| *other != module);
        if modules.is_empty() {
            *modules = KVec::new();
        }
    });
}

/// Sees to it that nothing of a module is used any more when it goes.
pub(crate) struct OwnerGone;

impl ffi::ModuleEvents for OwnerGone {
    fn live(module: *mut ffi::module) {
        // From now on its reference count keeps it.
        forget(module);
    }

    // Tested by: test failing-init, test foreign-driver.
    fn going(module: *mut ffi::module) {
        if is_expected(module) {
            // No new reference is given to a module that goes.
            //
            // SAFETY: The module is not freed before this returns.
            wait_until(module, || unsafe { ffi::module_refcount(module) } <= 0);
            forget(module);
        }
        // They have no task that holds this module, but may have those of its own scopes, and a visitor.
        wait_until(module, || registry::disown(module));
    }
}

/// Waits for something that comes without notice, on behalf of a module that goes.
// Tested by: test overdue, test failing-init.
fn wait_until(module: *mut ffi::module, is_over: impl Fn() -> bool) {
    // It cannot fail: nothing but the condition ends it.
    let _ = overdue::wait(
        |mode| {
            let mut left = ffi::jiffies_to_msecs(mode.time_limit().unwrap_or(0));

            while !is_over() {
                if left == 0 {
                    return Err(ETIMEDOUT);
                }
                left -= 1;
                fsleep(Delta::from_millis(1));
            }
            Ok(())
        },
        |seconds| overdue::report_module(module, seconds),
    );
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_unload)]
mod tests {
    use super::*;
    use core::ptr;

    #[test]
    fn any_number_of_modules_is_coming() -> Result {
        let module = |i: usize| ptr::without_provenance_mut::<ffi::module>(8 * (i + 1));
        const N: usize = 300;

        for i in 0..N {
            assert!(!is_expected(module(i)));
            expect(module(i))?;
            expect(module(i))?;
        }
        // Somebody who has nothing to do with it.
        assert!(!is_expected(module(N)));
        for i in 0..N {
            assert!(is_expected(module(i)));
            <OwnerGone as ffi::ModuleEvents>::live(module(i));
            assert!(!is_expected(module(i)));
        }
        Ok(())
    }
}
