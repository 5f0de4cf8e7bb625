// SPDX-License-Identifier: GPL-2.0

//! Filtered wait queues and async domains for Rust drivers.
//!
//! - [`AsyncDomain`]: functions run in parallel, each with a sequence cookie, so that their visible
//!   effects can happen in order; wait for exactly what you need. See [`domain`].
//! - [`keyed`]: waits for one of very many resources, on few shared queues.
//! - [`threshold`]: waits for so many events, and a ring of completions.
//! - [`wait`]: wait queues whose waiters carry the condition that they wait for, so that nobody is
//!   woken in vain.
//!
//! The [manual](manual/index.html) says why, which of it to use when, and how drivers do.
//!
//! Imports point down only: `domain` stands on `wait` and `queue`, and these on `ffi`, which alone
//! names the kernel's C bindings.

use kernel::prelude::*;

#[cfg(not(MODULE))]
mod builtin;
pub mod domain;
pub mod errno;
mod ffi;
pub mod keyed;
#[cfg(ASYNC_DOMAIN_KUNIT)]
mod kunit;
mod queue;
pub mod threshold;
mod trace;
pub mod wait;

pub use domain::{
    synchronize_all,
    AsyncDomain,
    Context,
    Cookie,
    DeviceDomain,
    Handle,
    ItemToken,
    Scope,
    StaticDomain,
    Stats,
    SubmitError,
    TaskHeader,
    TaskItem,
    Token, //
};
pub use wait::WaitMode;

#[cfg(not(MODULE))]
use builtin::__LOG_PREFIX;

#[cfg(MODULE)]
module! {
    type: AsyncDomainModule,
    name: "async_domain",
    authors: ["The async_domain developers"],
    description: "Filtered wait queues and async domains for Rust drivers",
    license: "GPL",
}

/// What the loaded module owns. Dropped in this order.
struct AsyncDomainModule {
    #[cfg(CONFIG_DEBUG_FS)]
    _debugfs: domain::DebugFs,
    _notifier: ffi::ModuleNotifier<domain::OwnerGone>,
    _devices: domain::Devices,
    _tasks: queue::Queue,
    _polls: queue::Queue,
    _retirement: queue::Queue,
    #[cfg(CONFIG_PREEMPT_RT)]
    _leftovers: queue::Queue,
    _shared: keyed::SharedTable,
    _last_steps: domain::LastSteps,
}

impl AsyncDomainModule {
    /// Makes everything ready; fails with `ENOMEM`.
    ///
    /// # Safety
    ///
    /// This must be called once, before anything else of this crate is used.
    unsafe fn new() -> Result<Self> {
        Ok(Self {
            // SAFETY: Called once, by the caller's promise.
            _devices: unsafe { domain::Devices::new() },
            _tasks: queue::Queue::new(&queue::TASKS, c"async_domain")?,
            _polls: queue::Queue::new(&queue::POLLS, c"async_domain_poll")?,
            _retirement: queue::Queue::new(&queue::RETIREMENT, c"async_domain_retire")?,
            #[cfg(CONFIG_PREEMPT_RT)]
            _leftovers: queue::Queue::new(&queue::LEFTOVERS, c"async_domain_leftovers")?,
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
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: This is the init function, which is called once. Consumers are loaded after it.
        unsafe { Self::new() }
    }
}
