// SPDX-License-Identifier: GPL-2.0

//! Waits by key that are notified without the lock.

use super::WaitTable;
use crate::{
    model::{
        sched,
        world, //
    },
    wait::WaitMode, //
};
use kernel::{
    alloc::Flags,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        LockClassKey, //
    },
};
use std::rc::Rc;

/// A resource that becomes ready, and a table with one queue for all keys.
struct Resource {
    ready: Atomic<bool>,
    table: WaitTable<u32>,
}

impl Resource {
    fn new() -> Rc<Self> {
        let table = WaitTable::new(1, Flags, c"model", LockClassKey::key()).unwrap();

        Rc::new(Self {
            ready: Atomic::new(false),
            table,
        })
    }

    /// Waits for it to be ready, in a thread of its own.
    fn waiter(self: &Rc<Self>) -> sched::Started<()> {
        let this = self.clone();

        sched::spawn(move || {
            let ret = this
                .table
                .wait_event(1, WaitMode::UNINTERRUPTIBLE, || this.ready.load(Relaxed));
            world::frame_ends(sched::current());
            assert_eq!(ret, Ok(()));
        })
    }

    fn becomes_ready(&self) -> u64 {
        self.ready.store(true, Relaxed);
        self.table.notify(1)
    }
}

/// A waiter comes; its condition becomes true, and it is notified: it sees the one or the other.
pub fn notify() {
    let resource = Resource::new();
    let waiter = resource.waiter();

    let woken = resource.becomes_ready();
    waiter.join();
    let counts = resource.table.counts();
    assert_eq!((counts.waits, counts.vain), (woken, 0));
}

/// The same, with two waiters.
pub fn notify_two() {
    let resource = Resource::new();
    let waiters = [(); 2].map(|()| resource.waiter());

    let woken = resource.becomes_ready();
    for waiter in waiters {
        waiter.join();
    }
    assert_eq!(resource.table.counts().waits, woken);
}
