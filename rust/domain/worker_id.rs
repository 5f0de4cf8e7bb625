// SPDX-License-Identifier: GPL-2.0

//! Which thread runs a task, for those who look on.

use core::cell::UnsafeCell;
use kernel::prelude::*;

/// The number of the thread that runs a task, in the initial PID namespace, if one does.
///
/// Nothing follows from it, and so it is written and read as C's `WRITE_ONCE()` and `READ_ONCE()` do: what
/// the kernel crate's atomics do with a call.
pub(super) struct WorkerId(UnsafeCell<c_int>);

impl WorkerId {
    /// Nobody.
    #[inline]
    pub(super) const fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    /// A thread begins with the task. It must belong to the caller.
    #[inline]
    pub(super) fn set(&self, pid: c_int) {
        // SAFETY: The memory is valid. Nobody else writes it, and who reads it does so at once.
        unsafe { self.0.get().write_volatile(pid) };
    }

    /// It has left the task, which must belong to the caller.
    #[inline]
    pub(super) fn clear(&self) {
        self.set(0);
    }

    /// Who runs the task.
    #[cfg(CONFIG_DEBUG_FS)]
    pub(super) fn get(&self) -> Option<c_int> {
        // SAFETY: The memory is valid, and written at once.
        let pid = unsafe { self.0.get().read_volatile() };
        (pid != 0).then_some(pid)
    }
}
