// SPDX-License-Identifier: GPL-2.0

//! Tracepoints: whether one is enabled.
//!
//! The tracepoints are those of `trace.h`, made in `trace.c`. Each has a static key: while it is disabled, the
//! check is one no-op instruction, which is patched into a jump when it is enabled. Arguments are computed
//! behind that jump, in a function of its own, so that a disabled tracepoint takes no registers. On kernels
//! without tracepoints the check is constant.
//!
//! Functions that are inlined into other modules check there: so `trace.c` exports the tracepoints.

/// Whether a tracepoint, `__tracepoint_` and its name in `trace.h`, is enabled.
///
/// Unlike `kernel::jump_label`, this tells the compiler, as C does, that memory and flags stay as they are:
/// registers need not be loaded again.
#[cfg(all(CONFIG_TRACEPOINTS, CONFIG_JUMP_LABEL))]
// Tested by: test trace.
macro_rules! is_on {
    ($tracepoint:ident) => {
        'is_on: {
            // SAFETY: The variable is a tracepoint that `trace.c` makes, and `key` its static key. What the
            // kernel patches is an instruction that does nothing, or jumps.
            unsafe {
                ::kernel::asm!(
                    include!(concat!(env!("OBJTREE"), "/rust/kernel/generated_arch_static_branch_asm.rs"));
                    l_yes = label { break 'is_on true; },
                    symb = sym $crate::ffi::$tracepoint,
                    off = const ::core::mem::offset_of!($crate::ffi::tracepoint, key),
                    branch = const 0,
                    options(nomem, nostack, preserves_flags),
                );
            }
            false
        }
    };
}

/// The same, on a kernel that does not patch.
#[cfg(all(CONFIG_TRACEPOINTS, not(CONFIG_JUMP_LABEL)))]
// Tested by: test trace.
macro_rules! is_on {
    ($tracepoint:ident) => {
        // SAFETY: The variable is a tracepoint that `trace.c` makes, and `key` its static key.
        unsafe {
            ::kernel::jump_label::static_branch_unlikely!(
                $crate::ffi::$tracepoint,
                $crate::ffi::tracepoint,
                key
            )
        }
    };
}

/// The same, without tracepoints.
#[cfg(not(CONFIG_TRACEPOINTS))]
macro_rules! is_on {
    ($tracepoint:ident) => {
        false
    };
}

pub(crate) use is_on;
