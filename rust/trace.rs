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
///
/// As `kernel::jump_label` does it, but that the compiler is told that memory and flags stay as they are, as
/// in C: what is in registers need not be read again.
#[cfg(all(CONFIG_TRACEPOINTS, CONFIG_JUMP_LABEL))]
// Tested by: test trace.
macro_rules! is_on {
    ($tracepoint:ident) => {
        'is_on: {
            // SAFETY: The variable is a tracepoint that `trace.c` makes, and `key` its static key. What the
            // kernel patches is an instruction that does nothing, or jumps.
            unsafe {
                ::kernel::asm!(
                    include!(concat!(
                        env!("OBJTREE"),
                        "/rust/kernel/generated_arch_static_branch_asm.rs"
                    ));
                    l_yes = label {
                        break 'is_on true;
                    },
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
        // SAFETY: As above.
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
