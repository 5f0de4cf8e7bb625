// SPDX-License-Identifier: GPL-2.0

//! The loaded module: its state, set up by the init function and torn down on unload.

use crate::{
    domain,
    ffi,
    keyed,
    queue, //
};
use kernel::prelude::*;

/// State of the loaded module. Dropped in this order.
pub(crate) struct AsyncDomainModule {
    #[cfg(CONFIG_DEBUG_FS)]
    _debugfs: domain::DebugFs,
    _notifier: ffi::ModuleNotifier<domain::OwnerGone>,
    _devices: domain::Devices,
    _death: ffi::DieNotifier<domain::Death>,
    _tasks: queue::Queue,
    _polls: queue::Queue,
    _retirement: queue::Queue,
    #[cfg(CONFIG_PREEMPT_RT)]
    _deferred: queue::Queue,
    _shared: keyed::SharedTable,
    _last_steps: domain::LastSteps,
}

impl AsyncDomainModule {
    /// Makes everything ready; fails with `ENOMEM`.
    ///
    /// # Safety
    ///
    /// This must be called once, before anything else of this crate is used.
    // Tested by: nothing: ; every boot runs it.
    pub(crate) unsafe fn new() -> Result<Self> {
        Ok(Self {
            // SAFETY: Called once, by the caller's promise.
            _devices: unsafe { domain::Devices::new() },
            _death: ffi::DieNotifier::new()?,
            _tasks: queue::Queue::new(&queue::TASKS, c"async_domain")?,
            _polls: queue::Queue::new(&queue::POLLS, c"async_domain_poll")?,
            _retirement: queue::Queue::new(&queue::RETIREMENT, c"async_domain_retire")?,
            #[cfg(CONFIG_PREEMPT_RT)]
            _deferred: queue::Queue::new(&queue::DEFERRED, c"async_domain_deferred")?,
            _shared: keyed::SharedTable::new()?,
            _last_steps: domain::LastSteps::new(),
            _notifier: ffi::ModuleNotifier::new()?,
            #[cfg(CONFIG_DEBUG_FS)]
            _debugfs: domain::DebugFs::new(),
        })
    }
}

#[cfg(MODULE)]
impl kernel::Module for AsyncDomainModule {
    // Tested by: nothing: ; every boot runs it.
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: This is the init function, which is called once. Consumers are loaded after it.
        unsafe { Self::new() }
    }
}
