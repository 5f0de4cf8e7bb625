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
}

impl Injection {
    /// Says in the log that what it shows is not all the hardware's doing.
    pub(crate) fn announce() {
        let fail = module_parameters::fail.value();
        let delay_ms = module_parameters::delay_ms.value();

        if fail >= 0 || delay_ms > 0 {
            pr_info!("on purpose: fail={} delay_ms={}\n", fail, delay_ms);
        }
    }

    /// Returns what is added to the controller with this index in the order of probing.
    pub(crate) fn of(index: u32) -> Self {
        // Of four controllers in a row, the first is the slowest, so that those after it are ready
        // first and have to wait for it.
        let quarters = 4 - i64::from(index % 4);
        let delay = i64::from(module_parameters::delay_ms.value()) * quarters / 4;

        Self {
            silent: module_parameters::fail.value() == i64::from(index),
            delay: Delta::from_millis(delay),
        }
    }
}
