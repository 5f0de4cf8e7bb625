// SPDX-License-Identifier: GPL-2.0

//! A domain as lockdep sees it: a lock that each task holds, and that draining takes.

use super::domain::AsyncDomain;
use crate::ffi;
use kernel::{
    sync::rcu,
    types::Opaque, //
};

impl AsyncDomain {
    /// Tells lockdep that the caller waits for the domain's tasks.
    // Tested by: kunit a_task_can_drop_its_own_domain, test context-errors.
    pub(crate) fn lockdep_drain(&self) {
        if cfg!(CONFIG_LOCKDEP) {
            // The class stays for as long: see `AsyncDomain::disown`.
            let _rcu = rcu::read_lock();

            // SAFETY: The map was initialised with the domain.
            unsafe {
                ffi::lock_map_acquire(self.lockdep.get());
                ffi::lock_map_release(self.lockdep.get());
            }
        }
    }

    /// Runs `f` as what waits for the domain's tasks wait for, in the eyes of lockdep.
    ///
    /// # Safety
    ///
    /// `this` must be null or valid when this is called; it need not be when `f` returns.
    #[inline]
    // Tested by: kunit a_task_can_drop_its_own_domain, test context-errors.
    pub(crate) unsafe fn lockdep_task<R>(this: *const Self, f: impl FnOnce() -> R) -> R {
        if !cfg!(CONFIG_LOCKDEP) || this.is_null() {
            return f();
        }
        // A copy, since the task may drop the domain.
        let map = Opaque::<ffi::lockdep_map>::uninit();

        // SAFETY: `this` is valid, and the copy stays in place until it is released.
        unsafe {
            ffi::lockdep_copy_map(map.get(), (*this).lockdep.get());
            ffi::lock_map_acquire(map.get());
        }
        let ret = f();
        // SAFETY: It was acquired above, by this thread.
        unsafe { ffi::lock_map_release(map.get()) };
        ret
    }
}
