// SPDX-License-Identifier: GPL-2.0

//! What is done when something is not as it must be: say so, count it, and end the run.

use kernel::{
    fmt,
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Full,
            Relaxed, //
        },
        Atomic, //
    },
};

/// The first ones say what is wrong; the rest is consequences.
const PRINTED: u64 = 20;

static FAILURES: Atomic<u64> = Atomic::new(0);
static CHECKS: Atomic<u64> = Atomic::new(0);

/// Counts a failed check, and says what was wrong.
#[cold]
pub(crate) fn fail(what: fmt::Arguments<'_>) {
    if FAILURES.fetch_add(1, Full) < PRINTED {
        pr_err!("!!! {what}\n");
    }
}

/// Counts a check that is made.
pub(crate) fn made() {
    CHECKS.add(1, Relaxed);
}

pub(crate) fn failures() -> u64 {
    FAILURES.load(Acquire)
}

pub(crate) fn checks() -> u64 {
    CHECKS.load(Relaxed)
}

/// Reports that a promise is broken.
macro_rules! failed {
    ($($arguments:tt)*) => {
        $crate::check::fail(::kernel::prelude::fmt!($($arguments)*))
    };
}

/// Checks a promise, and reports it if it is broken.
macro_rules! check {
    ($condition:expr, $($arguments:tt)*) => {
        $crate::check::made();
        if !$condition {
            $crate::check::failed!($($arguments)*);
        }
    };
}

pub(crate) use {
    check,
    failed, //
};
