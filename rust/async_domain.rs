// SPDX-License-Identifier: GPL-2.0

//! Filtered wait queues and async domains for Rust drivers.
//!
//! - [`AsyncDomain`]: functions run in parallel, each with a sequence cookie, so that their visible
//!   effects can happen in order; wait for exactly what you need. See [`domain`].
//! - [`keyed`]: waits for one of very many resources, on few shared queues.
//! - [`threshold`]: waits for so many events, and a ring of completions.
//! - [`wait`]: wait queues whose waiters carry the condition that they wait for, so that no wake-up is
//!   spurious.
//!
//! The [manual](manual/index.html) says why, which of it to use when, and how drivers do.
//!
//! Imports point down only: `domain` stands on `wait` and `queue`, and these on `ffi`, which alone
//! names the kernel's C bindings.

#[cfg(MODULE)]
use kernel::prelude::*;

#[cfg(not(MODULE))]
mod builtin;
pub mod domain;
pub mod errno;
mod ffi;
pub mod keyed;
#[cfg(ASYNC_DOMAIN_KUNIT)]
mod kunit;
mod lock_class;
mod module;
mod queue;
pub mod threshold;
mod trace;
pub mod wait;

pub use domain::{
    synchronize_all,
    AsyncDomain,
    Cancelled,
    Cookie,
    CookieRange,
    DeviceDomain,
    Handle,
    ItemToken,
    Outcome,
    OwnedDomain,
    Scope,
    StaticDomain,
    Stats,
    Submit,
    SubmitError,
    TaskContext,
    TaskHeader,
    TaskItem,
    Token, //
};
pub use wait::WaitMode;

/// For the exported macros. They name crates by these paths, since `::core` and `::kernel` mean in a consumer what
/// it says they do (`extern crate self as core`); and they expand nothing of the caller's inside `unsafe`.
#[doc(hidden)]
pub mod __private {
    pub use core;
    pub use kernel;
}

#[cfg(not(MODULE))]
use builtin::__LOG_PREFIX;

#[cfg(MODULE)]
use module::AsyncDomainModule;

#[cfg(MODULE)]
module! {
    type: AsyncDomainModule,
    name: "async_domain",
    authors: ["The async_domain developers"],
    description: "Filtered wait queues and async domains for Rust drivers",
    license: "GPL",
}
