// SPDX-License-Identifier: GPL-2.0

//! What one thread does at the moment, and what it sleeps for.

use crate::{
    events::{
        Events,
        Watched, //
    },
    exact::Exact,
    model::{
        Live,
        Model, //
    },
};
use async_domain::Cookie;
use kernel::{
    fmt,
    new_spinlock,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::{
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        Arc,
        SpinLock, //
    },
    task::Task, //
};

/// No operation: the thread is between two.
pub(crate) const IDLE: usize = usize::MAX;
/// The books are being balanced.
pub(crate) const BALANCE: usize = IDLE - 1;

/// What a thread sleeps for.
pub(crate) enum Waiting {
    /// The end of all tasks below a cookie.
    Below(Arc<Live>, Cookie),
    /// The end of all tasks.
    Empty(Arc<Live>),
    /// The end of a domain, which has closed.
    End(Arc<Model>),
    /// An event.
    Event(Watched),
    /// What a task gives to this thread alone.
    Exact(Arc<Exact>),
}

impl Waiting {
    pub(crate) fn holds(&self, events: &Events) -> bool {
        match self {
            Self::Below(live, cookie) => live.look().is_none_or(|lowest| lowest >= *cookie),
            Self::Empty(live) => live.look().is_none(),
            Self::End(_) => false,
            Self::Event(event) => events.holds(*event),
            Self::Exact(exact) => exact.holds(),
        }
    }

    pub(crate) fn print(&self) {
        match self {
            Self::Below(live, _) | Self::Empty(live) => {
                pr_err!(
                    "  lowest in progress: {:?}, {:?}\n",
                    live.domain.lowest_in_progress(),
                    live.domain.stats()
                );
                live.model.print();
            }
            Self::End(model) => model.print(),
            Self::Event(_) | Self::Exact(_) => (),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(live, cookie) => {
                f.write_fmt(fmt!("all below {cookie} of domain {}", live.model.number))
            }
            Self::Empty(live) => f.write_fmt(fmt!("the tasks of domain {}", live.model.number)),
            Self::End(model) => f.write_fmt(fmt!("the end of domain {}", model.number)),
            Self::Event(event) => f.write_fmt(fmt!("{event:?}")),
            Self::Exact(exact) => f.write_fmt(fmt!("{exact:?}")),
        }
    }
}

/// What one thread does.
#[pin_data]
pub(crate) struct Post {
    /// The operation, and its number and its beginning in milliseconds.
    pub(crate) operation: Atomic<usize>,
    pub(crate) number: Atomic<u64>,
    pub(crate) since: Atomic<i64>,
    /// Counts the waits.
    pub(crate) waits: Atomic<u64>,
    #[pin]
    pub(crate) waiting: SpinLock<Option<Waiting>>,
    #[pin]
    task: SpinLock<Option<ARef<Task>>>,
}

impl Post {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            operation: Atomic::new(IDLE),
            number: Atomic::new(0),
            since: Atomic::new(0),
            waits: Atomic::new(0),
            waiting <- new_spinlock!(None, "torture_post"),
            task <- new_spinlock!(None, "torture_task"),
        })
    }

    /// The thread that stands here has begun.
    pub(crate) fn is_of(&self, task: ARef<Task>) {
        *self.task.lock() = Some(task);
    }

    pub(crate) fn task(&self) -> Option<ARef<Task>> {
        self.task.lock().clone()
    }

    /// An operation begins, or with [`IDLE`] ends.
    pub(crate) fn begin(&self, operation: usize, millis: i64) {
        self.since.store(millis, Relaxed);
        self.number.add(1, Relaxed);
        self.operation.store(operation, Release);
    }

    /// Waits, watched.
    pub(crate) fn watched<R>(&self, waiting: Waiting, wait: impl FnOnce() -> R) -> R {
        *self.waiting.lock() = Some(waiting);
        self.waits.fetch_add(1, Release);
        let ret = wait();
        // Dropped without the lock.
        let last = self.waiting.lock().take();
        drop(last);
        ret
    }
}
