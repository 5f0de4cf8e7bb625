// SPDX-License-Identifier: GPL-2.0

//! A model of the part of the kernel that async_domain uses.

pub mod api;
pub mod atomic;
pub mod ffi;
pub mod sched;
pub mod workqueue;
pub mod world;

use std::{
    cell::Cell,
    sync::{
        atomic::{
            AtomicUsize,
            Ordering::Relaxed, //
        },
        Arc, //
    },
};

/// The primitives of the kernel that can be broken, to see that it is noticed.
pub const BREAKAGES: [&str; 3] = [
    // `list_del_init_careful()` without `smp_store_release()`.
    "unlink-without-release",
    // `list_empty_careful()` without `smp_load_acquire()`.
    "look-without-acquire",
    // `autoremove_wake_function()` unlinks before it wakes.
    "unlink-before-wake",
];

thread_local! {
    static BROKEN: Cell<&'static str> = const { Cell::new("") };
}

/// Breaks a primitive from now on; `false` if there is none with that name.
pub fn break_primitive(name: &str) -> bool {
    let breakage = BREAKAGES.iter().find(|&&breakage| breakage == name);
    breakage.inspect(|breakage| BROKEN.set(breakage)).is_some()
}

fn is_broken(name: &str) -> bool {
    debug_assert!(BREAKAGES.contains(&name));
    BROKEN.get() == name
}

/// Runs the scenario in all interleavings, or in those with so many preemptions at most; returns their
/// number.
pub fn explore(preemptions: Option<usize>, scenario: fn()) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_threads = 5;
    builder.max_branches = 5_000;

    let count = executions.clone();
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        world::begin();
        scenario();
        world::end();
    });
    executions.load(Relaxed)
}
