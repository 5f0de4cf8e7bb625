// SPDX-License-Identifier: GPL-2.0

//! The module's parameters.

use crate::ffi;
use core::ptr;
use kernel::prelude::*;

/// What the parameters of the module say. They do not change after it is loaded.
pub(crate) struct Params {
    workloads: &'static [u8],
    sides: &'static [u8],
    /// Numbers of tasks, waiters or events.
    pub(crate) sizes: &'static [c_uint],
    /// Numbers of domains.
    pub(crate) domains: &'static [c_uint],
    /// How often each measurement is repeated.
    pub(crate) repeats: usize,
}

impl Params {
    /// Reads them; fails with `EINVAL` if one makes no sense.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: They are set before the module's init function is called, and then never again:
        // they are not writable in sysfs. The strings end with a zero.
        let this = unsafe {
            Self {
                workloads: CStr::from_char_ptr(ffi::bench_workloads).to_bytes(),
                sides: CStr::from_char_ptr(ffi::bench_sides).to_bytes(),
                sizes: list(&raw const ffi::bench_sizes, ffi::bench_nr_sizes),
                domains: list(&raw const ffi::bench_domains, ffi::bench_nr_domains),
                repeats: ffi::bench_repeats as usize,
            }
        };
        let is_size = |&n: &c_uint| (1..=32_000).contains(&n);

        if this.repeats == 0
            || !this.workloads.iter().all(|l| (b'a'..=b'i').contains(l))
            || !this.sizes.iter().all(is_size)
            || !this.domains.iter().all(is_size)
        {
            return Err(EINVAL);
        }
        Ok(this)
    }

    /// Whether this workload is to be run.
    pub(crate) fn has_workload(&self, letter: char) -> bool {
        self.workloads.iter().any(|&l| char::from(l) == letter)
    }

    /// Whether this side is to be measured.
    pub(crate) fn has_side(&self, name: &str) -> bool {
        self.sides.is_empty()
            || self
                .sides
                .split(|&c| c == b',')
                .any(|s| s == name.as_bytes())
    }
}

/// The part of a parameter's array that is in use.
///
/// # Safety
///
/// The array must not change any more, and have at least `nr` elements.
unsafe fn list<const N: usize>(array: *const [c_uint; N], nr: c_uint) -> &'static [c_uint] {
    // SAFETY: By the caller's promise.
    unsafe { &*ptr::slice_from_raw_parts(array.cast(), nr as usize) }
}
