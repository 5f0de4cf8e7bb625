// SPDX-License-Identifier: GPL-2.0

//! Which thread runs a task, for those who look on.

use crate::ffi;
use kernel::{
    prelude::*,
    sync::atomic::Atomic, //
};

/// The number of the thread that runs a task, in the initial PID namespace, if one does.
///
/// Nothing follows from it: it is an atomic because others read it while it is written.
pub(crate) struct WorkerId(Atomic<c_int>);

impl WorkerId {
    /// Nobody.
    #[inline]
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// A thread begins with the task. It must belong to the caller.
    #[inline]
    pub(crate) fn set(&self, pid: c_int) {
        ffi::write_once(&self.0, pid);
    }

    /// It has left the task, which must belong to the caller.
    #[inline]
    pub(crate) fn clear(&self) {
        self.set(0);
    }

    /// Who runs the task.
    pub(crate) fn get(&self) -> Option<c_int> {
        let pid = ffi::read_once(&self.0);
        (pid != 0).then_some(pid)
    }
}
