// SPDX-License-Identifier: GPL-2.0

//! The clock.

use crate::ffi;
use kernel::time::{
    delay::fsleep,
    Delta, //
};

/// The time in nanoseconds. Instruction-counted, one instruction is one nanosecond.
#[inline]
pub(crate) fn now() -> u64 {
    // SAFETY: It may always be called.
    // CAST: The time since boot is not negative.
    unsafe { ffi::ktime_get() as u64 }
}

/// Lets what the preparations have left to be done in the background (memory to be freed, mostly)
/// happen before a measurement begins, and not during it.
pub(crate) fn settle() {
    fsleep(Delta::from_millis(20));
}
