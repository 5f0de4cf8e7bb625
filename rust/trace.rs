// SPDX-License-Identifier: GPL-2.0

//! Tracepoints: how the floors above ask whether somebody listens.
//!
//! The tracepoints are those of `trace.h`, made in `trace.c`. Each has a static key: as long as nobody
//! listens, asking is one instruction that does nothing, which is patched into a jump when somebody does.
//! What an event has to say is gathered behind that jump, in a function of its own, so that it costs those
//! who do not ask no registers either. On kernels without tracepoints the answer is no at compile time.
//!
//! Functions that are inlined into other modules ask there: so `trace.c` exports what this names.

/// Whether somebody listens to a tracepoint: its name in `trace.h`, after `__tracepoint_`.
macro_rules! is_on {
    ($tracepoint:ident) => {{
        #[cfg(CONFIG_TRACEPOINTS)]
        // SAFETY: The variable is a tracepoint that `trace.c` makes, and `key` its static key.
        let is_on = unsafe {
            ::kernel::jump_label::static_branch_unlikely!(
                $crate::ffi::$tracepoint,
                $crate::ffi::tracepoint,
                key
            )
        };
        #[cfg(not(CONFIG_TRACEPOINTS))]
        let is_on = false;

        is_on
    }};
}
pub(crate) use is_on;
