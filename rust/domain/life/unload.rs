// SPDX-License-Identifier: GPL-2.0

//! What must be over before the memory of a module is freed.
//!
//! A module that is unloaded has no reference left, and so no task. One whose init function has failed is
//! freed regardless of its reference count, so that its tasks are waited for here. Only modules that got a
//! reference from this library while they were coming are waited for: what others refer to is not our affair.
//!
//! In either case domains may be left that the module has made: they were leaked, are static, or are held by
//! another module.

use crate::{
    domain::{
        core::{
            coming,
            cookie::Cookie,
            domain::AsyncDomain,
            registry, //
        },
        wait::overdue, //
    },
    ffi, //
};
use core::ptr;
use kernel::{
    prelude::*,
    static_lock_class,
    sync::atomic::ordering::Relaxed,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// Sees to it that nothing of a module is used any more when it goes.
pub(crate) struct OwnerGone;

impl ffi::ModuleEvents for OwnerGone {
    fn live(module: *mut ffi::module) {
        // From now on its reference count keeps it.
        coming::forget(module);
    }

    // Tested by: test failing-init, test foreign-driver.
    fn going(module: *mut ffi::module) {
        if coming::is_expected(module) {
            // No new reference is given to a module that goes.
            //
            // SAFETY: The module is not freed before this returns.
            wait_until(module, || unsafe { ffi::module_refcount(module) } <= 0);
            coming::forget(module);
        }
        // They have no task that holds this module, but may have those of its own scopes, and be pinned.
        wait_until(module, || disown(module));
    }
}

/// Waits for something that comes without notice, on behalf of a module that goes.
// Tested by: test overdue, test failing-init.
fn wait_until(module: *mut ffi::module, is_over: impl Fn() -> bool) {
    // It cannot fail: nothing but the condition ends it.
    let _ = overdue::wait(
        |mode| {
            let mut left = mode.time_left().unwrap_or(Delta::ZERO).as_millis();

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

/// Closes the domains that a module has made, which goes, and takes those out of the registry that nobody
/// uses; returns whether that is all of them.
// Tested by: mutant disowned-keeps-classes, kunit a_disowned_domain_has_nothing_of_its_maker.
fn disown(module: *mut ffi::module) -> bool {
    // A domain is not touched without the lock, since its holder may drop it.
    registry::locked(|registry| {
        let owned = registry
            .domains()
            .filter(|domain| ptr::eq(domain.owner(), module));

        let mut all = true;
        for domain in owned {
            if domain.frontier() == Cookie::UNUSED {
                domain.disown();
                // What the iterator goes on to is another domain, which cannot leave the registry, nor be
                // dropped, without the lock.
                registry.unlink(domain);
            } else {
                all = false;
            }
        }
        all
    })
}

/// Waits, when it is dropped, for those who have dropped their reference on this module but have not
/// yet left its code.
pub(crate) struct LastSteps(());

impl LastSteps {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl Drop for LastSteps {
    // Tested by: kunit modules_stay_until_future_and_waker_are_gone.
    fn drop(&mut self) {
        // They do not sleep any more: when each thread has slept or been in user space once, and each
        // interrupt has been left, then they are out. This is how the kernel frees trampolines. (Where it has
        // preemption, but no trampolines, this waits for less: see the limits in Documentation/guidelines.rst.)
        ffi::synchronize_rcu_tasks();
    }
}

impl AsyncDomain {
    /// The module that made the domain goes, while another one still holds the domain: it is closed for
    /// good. Nothing in it is that module's any more, lock classes included.
    ///
    /// The domain must not have a task.
    // Tested by: mutant disowned-keeps-classes, kunit a_disowned_domain_has_nothing_of_its_maker.
    pub(super) fn disown(&self) {
        self.close();
        self.queue
            .reclass(c"disowned async_domain", static_lock_class!());
        // SAFETY: The map was initialised with the domain; name and key are static.
        unsafe {
            ffi::lockdep_reclass(
                self.lockdep.get(),
                c"disowned async_domain task".as_char_ptr(),
                static_lock_class!().as_ptr(),
            );
        }
        self.owner.store(ptr::null_mut(), Relaxed);
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_unload)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_modules_is_coming() -> Result {
        let module = |i: usize| ptr::without_provenance_mut::<ffi::module>(8 * (i + 1));
        const N: usize = 300;

        for i in 0..N {
            assert!(!coming::is_expected(module(i)));
            coming::expect(module(i))?;
            coming::expect(module(i))?;
        }
        // Somebody who has nothing to do with it.
        assert!(!coming::is_expected(module(N)));
        for i in 0..N {
            assert!(coming::is_expected(module(i)));
            <OwnerGone as ffi::ModuleEvents>::live(module(i));
            assert!(!coming::is_expected(module(i)));
        }
        Ok(())
    }
}
