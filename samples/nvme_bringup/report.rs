// SPDX-License-Identifier: GPL-2.0

//! What the kernel log shows. The format is described in the crate's documentation.

use super::{
    failure::Failure,
    identity::Identity, //
};
use async_domain::Stats;
use kernel::{
    fmt,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    time::Delta, //
};

/// The next controller's number.
///
/// Atomic only because it is a `static`: the order is that of the domain's cookies.
static NEXT: Atomic<u32> = Atomic::new(0);

/// How long all bring-ups took, one added to the other, in nanoseconds.
static PARTS: Atomic<i64> = Atomic::new(0);

/// A time span in milliseconds, to the microsecond.
struct Millis(Delta);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros_ceil();

        write!(f, "{}.{:03} ms", micros / 1000, micros % 1000)
    }
}

/// Takes a number for the controller at PCI address `name`, and reports it.
pub(crate) fn controller(name: &CStr, result: &Result<Identity, Failure>, elapsed: Delta) {
    let number = NEXT.fetch_add(1, Relaxed);
    PARTS.fetch_add(elapsed.as_nanos(), Relaxed);

    match result {
        Ok(identity) => pr_info!(
            "nvme{} {} serial={} model={} firmware={} ({})\n",
            number,
            name,
            identity.serial,
            identity.model,
            identity.firmware,
            Millis(elapsed)
        ),
        Err(failure) => pr_err!("nvme{} {} failed: {}\n", number, name, failure),
    }
}

/// Reports what the domain did, and how long it took from the first probe to the last report.
pub(crate) fn summary(parallel: Delta, stats: Stats) {
    pr_info!("tasks {}\n", stats.submitted);
    pr_info!("parallel {}\n", Millis(parallel));
    pr_info!(
        "sum of the parts {}\n",
        Millis(Delta::from_nanos(PARTS.load(Relaxed)))
    );
    pr_info!("waiters {}\n", stats.waits);
    pr_info!("wakeups {}\n", stats.wakeups);
    pr_info!("wakeups in vain {}\n", stats.vain);
}
