// SPDX-License-Identifier: GPL-2.0

//! Failing the n-th allocation of the current thread.
//!
//! See [fault-injection.rst](srctree/Documentation/fault-injection/fault-injection.rst), "fail-nth". What
//! counts as an allocation is set in debugfs, which `tools/guest/faults` does.

use core::cell::Cell;

/// Whether this kernel can inject faults.
pub(crate) const AVAILABLE: bool = cfg!(CONFIG_FAULT_INJECTION);

/// Sets the number of the current thread's allocation that fails, 0 for none; returns what was left.
fn set_fail_nth(nth: u32) -> u32 {
    #[cfg(CONFIG_FAULT_INJECTION)]
    // SAFETY: The current task is valid, and nobody else touches this field of it.
    let left = unsafe {
        let task = kernel::bindings::get_current();
        core::mem::replace(&mut (*task).fail_nth, nth)
    };
    #[cfg(not(CONFIG_FAULT_INJECTION))]
    let left = nth;
    left
}

/// What is injected into one run of an operation.
pub(crate) struct Injection {
    nth: Cell<u32>,
}

impl Injection {
    /// Fails the `nth` allocation that is made [`here`](Self::here); none, if it is 0.
    pub(crate) fn new(nth: u32) -> Self {
        Self {
            nth: Cell::new(nth),
        }
    }

    /// Runs `f`, whose allocations count.
    pub(crate) fn here<R>(&self, f: impl FnOnce() -> R) -> R {
        let nth = self.nth.get();
        if nth == 0 {
            return f();
        }
        set_fail_nth(nth);
        let ret = f();
        self.nth.set(set_fail_nth(0));
        ret
    }

    /// How many more allocations it would have taken; 0 if the fault was injected.
    pub(crate) fn left(&self) -> u32 {
        self.nth.get()
    }
}
