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
    controller::Controller,
    driver::BRING_UP,
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
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Nobody has tried to take it down.
    Up,
    /// It has stopped.
    Down,
    /// It could not be stopped, and may be using its memory.
    Stuck,
}

impl Bound {
    /// Removes a controller; returns its state.
    fn remove(&mut self, controller: &Arc<Controller>) -> Option<State> {
        let mut state = None;

        self.entries.retain(|entry| {
            let found = Arc::ptr_eq(&entry.controller, controller);
            if found {
                state = Some(entry.state);
            }
            !found
        });
        if self.entries.is_empty() {
            // It is static, so that nobody else frees it.
            self.entries = KVec::new();
        }
        state
    }
}

impl Entry {
    /// Takes the controller down, and reports it when `in_order` returns.
    fn take_down(&mut self, in_order: impl FnOnce()) {
        self.state = if take_down(&self.controller, in_order) {
            State::Down
        } else {
            State::Stuck
        };
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
        state: State::Up,
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
    BOUND.lock().remove(controller) == Some(State::Down)
}

/// Takes a controller down that is not in the list; returns whether it has stopped. Sleeps.
pub(crate) fn one(controller: &Controller) -> bool {
    take_down(controller, || ())
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

    let is_up = |entry: &&mut Entry| entry.state == State::Up;
    if !bound.entries.iter_mut().any(|entry| is_up(&entry)) {
        return;
    }

    let start = Instant::<Monotonic>::now();
    if !Injection::serial() {
        // A scope, because these tasks borrow; and because a module that goes has no other: tasks
        // that might outlive this function would need a reference on it.
        TAKE_DOWN.scope(|scope| {
            for entry in bound.entries.iter_mut().filter(is_up) {
                // What cannot be queued is left to the loop below.
                let _ = scope.schedule(GFP_KERNEL, |context| {
                    entry.take_down(|| {
                        // It is reported in any case.
                        let _ = context.synchronize();
                    })
                });
            }
        });
    }
    for entry in bound.entries.iter_mut().filter(is_up) {
        entry.take_down(|| ());
    }
    report::DOWN.summary(start.elapsed(), TAKE_DOWN.stats());
}

/// Takes a controller down, and reports it when `in_order` returns; returns whether it has stopped.
fn take_down(controller: &Controller, in_order: impl FnOnce()) -> bool {
    let start = Instant::<Monotonic>::now();
    let result = controller.shut_down();
    let halted = controller.halt();
    let elapsed = start.elapsed();

    in_order();
    report::taken_down(
        controller,
        // A shutdown that failed says more than what follows from it.
        &result.and_then(|shst| Ok((shst, halted?))),
        elapsed,
    );
    halted.is_ok()
}
