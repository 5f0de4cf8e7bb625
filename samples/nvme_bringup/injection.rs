// SPDX-License-Identifier: GPL-2.0

//! What the module's parameters add to a controller on purpose.

use crate::module_parameters;
use kernel::{
    prelude::*,
    time::Delta, //
};

/// A deviation from what the hardware does by itself.
#[derive(Clone, Copy)]
pub(crate) struct Injection {
    /// The controller is never told that there is a command for it.
    pub(crate) silent: bool,
    /// The controller is taken for ready this much later.
    pub(crate) delay: Delta,
    /// The controller is taken for shut down this much later.
    pub(crate) shutdown: Delta,
}

impl Injection {
    /// Says in the log that what it shows is not all the hardware's doing.
    pub(crate) fn announce() {
        let fail = module_parameters::fail.value();
        let delay_ms = module_parameters::delay_ms.value();
        let shutdown_ms = module_parameters::shutdown_ms.value();
        let serial = Self::serial();

        if fail >= 0 || delay_ms > 0 || shutdown_ms > 0 || serial {
            pr_info!(
                "on purpose: fail={} delay_ms={} (modelled) shutdown_ms={} (modelled) serial={}\n",
                fail,
                delay_ms,
                shutdown_ms,
                u8::from(serial)
            );
        }
    }

    /// Returns what is added to the controller with this index in the order of probing.
    pub(crate) fn of(index: u32) -> Self {
        // Of four controllers in a row, the first is the slowest, so that those after it are ready
        // first and have to wait for it.
        let quarters = 4 - i64::from(index % 4);
        let spread = |ms: u32| Delta::from_millis(i64::from(ms) * quarters / 4);

        Self {
            silent: module_parameters::fail.value() == i64::from(index),
            delay: spread(module_parameters::delay_ms.value()),
            shutdown: spread(module_parameters::shutdown_ms.value()),
        }
    }

    /// Returns whether each controller has to wait until the one before it is done.
    pub(crate) fn serial() -> bool {
        module_parameters::serial.value()
    }
}
