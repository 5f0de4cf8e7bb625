// SPDX-License-Identifier: GPL-2.0

//! Wait modes: signals and the time limit that may end a sleep.

use crate::ffi;
use kernel::{
    prelude::*,
    task::MAX_SCHEDULE_TIMEOUT,
    time::Jiffies, //
};

/// How a waiter sleeps: what may end its wait before its condition is true.
///
/// # Examples
///
/// ```
/// use async_domain::WaitMode;
/// use kernel::time::msecs_to_jiffies;
///
/// // Fails with `ERESTARTSYS` when a fatal signal comes, and with `ETIMEDOUT` after 100 ms.
/// let mode = WaitMode::KILLABLE.timeout(msecs_to_jiffies(100));
/// assert_eq!(mode.time_limit(), Some(msecs_to_jiffies(100)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitMode {
    state: c_uint,
    pub(super) timeout: c_long,
}

impl WaitMode {
    /// Only the condition ends the wait (C's `wait_event()`).
    pub const UNINTERRUPTIBLE: Self = Self::forever(ffi::TASK_UNINTERRUPTIBLE);

    /// A signal ends the wait with `ERESTARTSYS` (C's `wait_event_interruptible()`).
    pub const INTERRUPTIBLE: Self = Self::forever(ffi::TASK_INTERRUPTIBLE);

    /// A fatal signal ends the wait with `ERESTARTSYS` (C's `wait_event_killable()`).
    pub const KILLABLE: Self = Self::forever(ffi::TASK_KILLABLE);

    const fn forever(state: c_uint) -> Self {
        Self {
            state,
            timeout: MAX_SCHEDULE_TIMEOUT,
        }
    }

    /// Ends the wait with `ETIMEDOUT` after this time, in jiffies, unless the condition was true
    /// before. A timeout of 0 tests the condition once and does not sleep.
    #[must_use]
    pub const fn timeout(self, jiffies: Jiffies) -> Self {
        let timeout = if jiffies < MAX_SCHEDULE_TIMEOUT as Jiffies {
            // CAST: It has just been seen to be smaller than the largest `c_long`.
            jiffies as c_long
        } else {
            MAX_SCHEDULE_TIMEOUT
        };

        Self { timeout, ..self }
    }

    /// The time, in jiffies, after which the wait ends; `None` if there is no limit.
    #[must_use]
    pub const fn time_limit(self) -> Option<Jiffies> {
        if self.timeout < MAX_SCHEDULE_TIMEOUT {
            // CAST: A timeout is not negative.
            Some(self.timeout as Jiffies)
        } else {
            None
        }
    }
    /// Sets the state in which the current thread sleeps (C's `set_current_state()`).
    // Tested by: mutant state-set-after-unlock, mutant state-not-set-again.
    pub(super) fn prepare_to_sleep(self) {
        // SAFETY: The state is one of the three above, in which a thread can sleep.
        unsafe { ffi::set_current_state(self.state) }
    }

    /// Whether there is a signal that ends the wait.
    pub(super) fn is_signal_pending(self) -> bool {
        ffi::signal_pending_state(self.state)
    }
}
