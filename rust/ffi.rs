// SPDX-License-Identifier: GPL-2.0

//! The layer that all others stand on: only this directory names `bindings` and `extern "C"`.
//!
//! None of it decides anything:
//!
//! - `names`: the kernel's types and functions that the layers above use, and those that this project's
//!   own bindgen run makes out of `helpers.h` (inline functions and macros that the kernel crate lacks);
//! - `irq_lock`: a lock with its data;
//! - `work`, `wake`, `notifier`: functions that the kernel calls, each of which calls a trait that a layer
//!   above implements;
//! - `debugfs`: files that show records;
//! - `kunit`: the same for the test suites.

#[cfg(CONFIG_DEBUG_FS)]
pub(crate) mod debugfs;
pub(crate) mod irq_lock;
#[cfg(ASYNC_DOMAIN_KUNIT)]
mod kunit;
mod names;
mod notifier;
mod wake;
mod work;

#[cfg(ASYNC_DOMAIN_KUNIT)]
pub(crate) use kunit::{
    thread_function,
    FauxDevice,
    FauxDriver,
    ThreadFunction, //
};
pub(crate) use names::*;
pub(crate) use notifier::{
    BindingEnds,
    BusNotifier,
    DieNotifier,
    ModuleEvents,
    ModuleNotifier,
    ThreadDies, //
};
pub(crate) use wake::{
    wake_function,
    WakeFunction, //
};
pub(crate) use work::{
    alloc_unbound_workqueue,
    impl_has_work,
    init_work,
    HasWork,
    WorkFunction,
    WORK_CPU_UNBOUND, //
};
