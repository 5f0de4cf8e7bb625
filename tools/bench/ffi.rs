// SPDX-License-Identifier: GPL-2.0

//! The C that the benchmark uses: `linux/async.h`, and its own C parts (`bench.h`).

pub(crate) use generated::*;
pub(crate) use kernel::bindings::{
    ktime_get,
    NUMA_NO_NODE, //
};

/// The output of bindgen for `bindings_helper.h`.
#[allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    improper_ctypes
)]
mod generated {
    use kernel::{
        bindings::*,
        ffi, //
    };

    include!(env!("ASYNC_DOMAIN_BENCH_BINDINGS"));
}
