// SPDX-License-Identifier: GPL-2.0

//! Futures that wait in a queue.

use super::wait::{
    AtLeast,
    Grant,
    Queue, //
};
use crate::{
    model::{
        sched,
        world, //
    },
    wait::Waiting, //
};
use kernel::{
    alloc::Flags,
    error::Result, //
};
use loom::{
    cell::UnsafeCell, //
    sync::{
        Condvar,
        Mutex, //
    },
};
use std::{
    mem::ManuallyDrop,
    sync::Arc,
    task::{
        Context,
        Poll,
        Wake,
        Waker, //
    },
};

/// Who polls a future, and is told when to.
struct Poller {
    called: Mutex<bool>,
    calls: Condvar,
    /// Calls to a waker must not be concurrent with the end of it.
    uses: UnsafeCell<()>,
}

// SAFETY: Loom's threads run one at a time, on one thread.
unsafe impl Send for Poller {}
// SAFETY: As above.
unsafe impl Sync for Poller {}

impl Poller {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            called: Mutex::new(false),
            calls: Condvar::new(),
            uses: UnsafeCell::new(()),
        })
    }

    fn wait(&self) {
        let mut called = self.called.lock().unwrap();
        while !*called {
            called = self.calls.wait(called).unwrap();
        }
        *called = false;
    }
}

impl Wake for Poller {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.uses.with(|_| ());
        *self.called.lock().unwrap() = true;
        self.calls.notify_one();
        self.uses.with(|_| ());
    }
}

type Inner = Waiting<'static, u64, AtLeast>;

/// A future, whose wait entry is in memory of its own.
struct Future {
    inner: ManuallyDrop<Inner>,
    /// It borrows from this, which outlives it.
    queue: Queue<AtLeast>,
    grant: *const Grant,
}

impl Future {
    fn new(queue: &Queue<AtLeast>) -> Self {
        let queue = queue.clone();
        let grant = world::allocate::<Grant>("a grant");

        // SAFETY: The memory is ours; `self` has a reference to the queue.
        let inner = unsafe {
            grant.write(Grant::new(0));
            Waiting::new(&*std::rc::Rc::as_ptr(&queue.0))
        };
        Self {
            inner: ManuallyDrop::new(inner),
            queue,
            grant,
        }
    }

    fn poll(&mut self, poller: &Arc<Poller>) -> Poll<Result> {
        let waker: Waker = poller.clone().into();
        let grant = self.grant;

        self.inner
            .poll(&mut Context::from_waker(&waker), Flags, |count| {
                Ok((**count < 1).then_some(AtLeast { count: 1, grant }))
            })
    }
}

impl Drop for Future {
    fn drop(&mut self) {
        // SAFETY: It is ours, and dropped once.
        unsafe {
            ManuallyDrop::drop(&mut self.inner);
            (*self.grant).with_mut(|_| ());
            world::memory_ends(self.grant.addr());
        }
    }
}

/// A future is polled whenever its waker is called, while its condition becomes true.
pub fn polled() {
    let queue = Queue::new();
    let q = queue.clone();
    let thread = sched::spawn(move || {
        let poller = Poller::new();
        let mut future = Future::new(&q);

        while future.poll(&poller).is_pending() {
            poller.wait();
        }
        drop(future);
        poller.uses.with_mut(|_| ());
    });

    queue.set(1);
    thread.join();
}

/// A future is dropped while its condition becomes true.
pub fn dropped() {
    let queue = Queue::new();
    let q = queue.clone();
    let thread = sched::spawn(move || {
        let poller = Poller::new();
        let mut future = Future::new(&q);

        let _ = future.poll(&poller);
        drop(future);
        poller.uses.with_mut(|_| ());
    });

    queue.set(1);
    thread.join();
}

/// A future is handed to another poller while its condition becomes true: that one is told, if it is
/// not ready at once.
pub fn other_waker() {
    let queue = Queue::new();
    let q = queue.clone();
    let thread = sched::spawn(move || {
        let (first, second) = (Poller::new(), Poller::new());
        let mut future = Future::new(&q);

        if future.poll(&first).is_pending() {
            while future.poll(&second).is_pending() {
                second.wait();
            }
        }
        drop(future);
        first.uses.with_mut(|_| ());
        second.uses.with_mut(|_| ());
    });

    queue.set(1);
    thread.join();
}
