// SPDX-License-Identifier: GPL-2.0

//! What the kernel log shows. The format is described in the crate's documentation.

use super::{
    controller::{
        Controller,
        Stopped, //
    },
    failure::Failure,
    identity::Identity,
    injection::Injection, //
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

/// What is done to all controllers.
pub(crate) struct Operation {
    name: &'static str,
    /// How long the parts took, one added to the other, in nanoseconds.
    parts: Atomic<i64>,
}

/// Bringing them up.
pub(crate) static UP: Operation = Operation {
    name: "bring-up",
    parts: Atomic::new(0),
};

/// Taking them down.
pub(crate) static DOWN: Operation = Operation {
    name: "take-down",
    parts: Atomic::new(0),
};

/// A time span in milliseconds, to the microsecond.
struct Millis(Delta);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros_ceil();

        write!(f, "{}.{:03} ms", micros / 1000, micros % 1000)
    }
}

/// Gives the controller a number, and reports what its bring-up came to.
pub(crate) fn brought_up(
    controller: &Controller,
    result: &Result<Identity, Failure>,
    elapsed: Delta,
) {
    let (number, name) = (NEXT.fetch_add(1, Relaxed), controller.name());
    controller.set_number(number);
    UP.parts.fetch_add(elapsed.as_nanos(), Relaxed);

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

/// Reports what taking the controller down came to: CSTS.SHST after its shutdown, and what it read when
/// it was stopped.
pub(crate) fn taken_down(
    controller: &Controller,
    result: &Result<(u32, Stopped), Failure>,
    elapsed: Delta,
) {
    let (number, name) = (controller.number(), controller.name());
    DOWN.parts.fetch_add(elapsed.as_nanos(), Relaxed);

    match result {
        Ok((shst, stopped)) => pr_info!(
            "nvme{} {} down: CSTS.SHST={} CC.EN={} CSTS.RDY={} ({})\n",
            number,
            name,
            shst,
            u8::from(stopped.en),
            u8::from(stopped.rdy),
            Millis(elapsed)
        ),
        Err(failure) => pr_err!("nvme{} {} not down: {}\n", number, name, failure),
    }
}

impl Operation {
    /// Reports how long it took from the first to the last, and what the domain did.
    pub(crate) fn summary(&self, elapsed: Delta, stats: Stats) {
        let name = self.name;
        let parts = Delta::from_nanos(self.parts.load(Relaxed));
        let way = if Injection::serial() {
            "serial"
        } else {
            "parallel"
        };

        pr_info!("{} tasks {}\n", name, stats.submitted);
        pr_info!("{} {} {}\n", name, way, Millis(elapsed));
        pr_info!("{} sum of the parts {}\n", name, Millis(parts));
        pr_info!("{} waiters {}\n", name, stats.waits);
        pr_info!("{} wakeups {}\n", name, stats.wakeups);
        pr_info!("{} spurious wakeups {}\n", name, stats.spurious);
    }
}
