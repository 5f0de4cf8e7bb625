// SPDX-License-Identifier: GPL-2.0

//! Filtered wait queues and async domains for Rust drivers.
//!
//! - [`AsyncDomain`]: functions run in parallel, each with a sequence cookie, so that their visible
//!   effects can happen in order; wait for exactly what you need. See [`domain`].
//! - [`wait`]: wait queues whose waiters carry the condition that they wait for, so that nobody is
//!   woken in vain.
//!
//! Imports point down only: `domain` stands on `wait` and `queue`, and these on `ffi`, which alone
//! names the kernel's C bindings.

use kernel::prelude::*;

pub mod domain;
pub mod errno;
mod ffi;
pub mod keyed;
#[cfg(ASYNC_DOMAIN_KUNIT)]
mod kunit;
mod queue;
pub mod threshold;
pub mod wait;

pub use domain::{
    synchronize_all,
    AsyncDomain,
    Context,
    Cookie,
    Handle,
    Scope,
    StaticDomain,
    Stats,
    SubmitError,
    TaskHeader,
    TaskItem,
    Token, //
};
pub use wait::WaitMode;

module! {
    type: AsyncDomainModule,
    name: "async_domain",
    authors: ["The async_domain developers"],
    description: "Filtered wait queues and async domains for Rust drivers",
    license: "GPL",
}

/// What the loaded module owns. Dropped in this order.
struct AsyncDomainModule {
    _notifier: ffi::ModuleNotifier<domain::OwnerGone>,
    _tasks: queue::Queue,
    _retirement: queue::Queue,
    _shared: keyed::SharedTable,
}

impl kernel::Module for AsyncDomainModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _tasks: queue::Queue::new(&queue::TASKS, c"async_domain")?,
            _retirement: queue::Queue::new(&queue::RETIREMENT, c"async_domain_retire")?,
            _shared: keyed::SharedTable::new()?,
            _notifier: ffi::ModuleNotifier::new()?,
        })
    }
}
