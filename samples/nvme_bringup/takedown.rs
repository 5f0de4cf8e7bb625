// SPDX-License-Identifier: GPL-2.0

//! Which controllers are there, and taking them down: all in parallel, or one.
//!
//! The driver core unbinds one device after another, each from beginning to end. So that removing the
//! module, or rebooting the machine, takes as long as the slowest controller and not as all of them
//! together, [`all`] goes first: each shutdown is a task of a domain, and the driver core then finds
//! the controllers down. A device that is unbound by itself is taken down by [`one`].
//!
//! # Who may touch a controller
//!
//! Either it is in the list, and belongs to who holds the lock; or [`leave`] has taken it out, and it
//! belongs to the thread that unbinds its device. So [`all`] holds the lock until the last task is
//! done: the tasks borrow from the list. Who unbinds a device meanwhile waits for them, with its
//! registers still mapped; who binds one is refused.
//!
//! The lock is taken with a device locked. Under it, nobody locks a device: neither a bring-up nor a
//! shutdown does.

use super::{
    controller::{
        Controller,
        Stopped, //
    },
    driver::BRING_UP,
    failure::Failure,
    injection::Injection,
    report, //
};
use async_domain::{
    errno::ESHUTDOWN,
    Submit, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};

async_domain::static_domain!(
    /// Shutdowns, in the order in which the controllers were probed.
    static TAKE_DOWN
);

kernel::sync::global_lock! {
    // SAFETY: `init` is called before any other function of this file.
    // Tested by: test nvme-takedown.
    unsafe(uninit) static BOUND: Mutex<Bound> = Bound {
        entries: KVec::new(),
        closed: false,
    };
}

/// The controllers that are bound.
struct Bound {
    /// In the order of the cookies of their bring-ups.
    entries: KVec<Entry>,
    /// No more are taken, since all are being taken down.
    closed: bool,
}

/// A controller that is bound.
struct Entry {
    controller: Arc<Controller>,
    /// Whether it has stopped, or may be using its memory still; `None` if nobody has tried to take it down.
    stopped: Option<bool>,
}

impl Bound {
    /// Removes a controller; returns whether it has stopped.
    fn remove(&mut self, controller: &Arc<Controller>) -> bool {
        let mut stopped = false;

        self.entries.retain(|entry| {
            let found = Arc::ptr_eq(&entry.controller, controller);
            if found {
                stopped = entry.stopped == Some(true);
            }
            !found
        });
        if self.entries.is_empty() {
            // It is static, so that nobody else frees it.
            self.entries = KVec::new();
        }
        stopped
    }
}

/// Makes the list ready.
///
/// # Safety
///
/// Must be called once, before any other function of this file.
// Tested by: test nvme-takedown.
pub(crate) unsafe fn init() {
    // SAFETY: By the caller's promise.
    unsafe { BOUND.init() };
}

/// Adds a controller to the list and runs `bring_up`, which submits its bring-up. Fails as that does,
/// with `ENOMEM`, or with `ESHUTDOWN` if all controllers are being taken down.
pub(crate) fn enter<T>(
    controller: &Arc<Controller>,
    bring_up: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let mut bound = BOUND.lock();

    if bound.closed {
        return Err(ESHUTDOWN);
    }
    let entry = Entry {
        controller: controller.clone(),
        stopped: None,
    };
    bound.entries.push(entry, GFP_KERNEL)?;
    // With the lock held, so that the list is in the order of the cookies.
    bring_up().inspect_err(|_| {
        bound.remove(controller);
    })
}

/// Removes a controller from the list, which has no reference to it any more. Returns whether it is
/// down. Waits if all are being taken down.
pub(crate) fn leave(controller: &Arc<Controller>) -> bool {
    BOUND.lock().remove(controller)
}

/// Takes a controller down that is not in the list; returns whether it has stopped. Sleeps.
pub(crate) fn one(controller: &Controller) -> bool {
    let (stopped, result, elapsed) = take_down(controller);

    report::taken_down(controller, &result, elapsed);
    stopped
}

/// Takes all controllers down that are not, and takes no more from now on. Sleeps.
pub(crate) fn all() {
    let mut bound = BOUND.lock();
    bound.closed = true;

    // While the lock is held, there are no new ones. This cannot fail: no task gets here.
    if let Err(error) = BRING_UP.synchronize(..) {
        pr_err!("cannot wait for the bring-ups: {:?}\n", error);
        return;
    }

    let is_up = |entry: &&mut Entry| entry.stopped.is_none();
    if !bound.entries.iter_mut().any(|entry| is_up(&entry)) {
        return;
    }

    let start = Instant::<Monotonic>::now();
    if !Injection::serial() {
        // A scope, because these tasks borrow; and because a module that goes has no other: tasks
        // that might outlive this function would need a reference on it.
        TAKE_DOWN.scope(|scope| {
            for entry in bound.entries.iter_mut().filter(is_up) {
                let controller = &entry.controller;

                // What cannot be queued is left to the loop below.
                let _ = scope.schedule_ordered(
                    GFP_KERNEL,
                    move |_| take_down(controller),
                    |(stopped, result, elapsed), _| {
                        report::taken_down(controller, &result, elapsed);
                        entry.stopped = Some(stopped);
                    },
                );
            }
        });
    }
    for entry in bound.entries.iter_mut().filter(is_up) {
        entry.stopped = Some(one(&entry.controller));
    }
    report::DOWN.summary(start.elapsed(), TAKE_DOWN.stats());
}

/// Takes a controller down; returns whether it has stopped, what came of it, and how long it took.
fn take_down(controller: &Controller) -> (bool, Result<(u32, Stopped), Failure>, Delta) {
    let start = Instant::<Monotonic>::now();
    let result = controller.shut_down();
    let halted = controller.halt();

    // A shutdown that failed says more than what follows from it.
    let down = result.and_then(|shst| Ok((shst, halted?)));
    (halted.is_ok(), down, start.elapsed())
}
