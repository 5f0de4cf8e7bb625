// SPDX-License-Identifier: GPL-2.0

//! Error codes that this crate returns, and that not every supported kernel's crate names.
//!
//! This is the only file that knows of differences between the supported kernels.

#[cfg(not(ASYNC_DOMAIN_LINUX_7_2))]
pub use kernel::error::code::{
    ECANCELED,
    EDEADLK,
    ENOBUFS,
    ENODATA,
    EOPNOTSUPP,
    ESHUTDOWN, //
};

#[cfg(ASYNC_DOMAIN_LINUX_7_2)]
pub use linux_7_2::*;

#[cfg(ASYNC_DOMAIN_LINUX_7_2)]
mod linux_7_2 {
    use core::num::NonZeroI32;
    use kernel::prelude::*;

    // Tested by: nothing: a constant.
    macro_rules! errno {
        ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {$(
            $(#[$doc])*
            pub const $name: Error = match NonZeroI32::new(-$value) {
                // SAFETY: In this kernel, `Error` has one field, an `i32` that is not zero and whose
                // negation is at most `MAX_ERRNO`. If it had another size, this would not compile.
                Some(errno) => unsafe { core::mem::transmute::<NonZeroI32, Error>(errno) },
                None => EINVAL,
            };
        )*};
    }

    errno! {
        /// Resource deadlock would occur.
        EDEADLK = 35,
        /// No data available.
        ENODATA = 61,
        /// Operation not supported on transport endpoint.
        EOPNOTSUPP = 95,
        /// No buffer space available.
        ENOBUFS = 105,
        /// Cannot send after transport endpoint shutdown.
        ESHUTDOWN = 108,
        /// Operation Canceled.
        ECANCELED = 125,
    }
}
