// SPDX-License-Identifier: GPL-2.0

//! Nobody sleeps whose condition holds: a thread that looks at what the others wait for.
//!
//! Every thread says what it does, and before it sleeps, what it sleeps for. Who is seen asleep again
//! and again in one and the same wait although its condition holds has lost its wake-up. Who is in one
//! operation for very long, although nothing takes long here, waits for something that does not come.
//! Both are reported with the state of the queue, and spoil the run.

use crate::{
    check::failed,
    events::Watched,
    kthread::Thread,
    model::{
        Live,
        Model, //
    },
    ops::{
        self,
        exact::Exact, //
    },
    world::World, //
};
use async_domain::Cookie;
use kernel::{
    fmt, new_spinlock,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::{
                Acquire,
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        Arc,
        SpinLock, //
    },
    task::Task,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// How often it looks, in milliseconds, and after how many looks in a row it is sure. A thread that
/// has been woken may have to wait for its CPU, on a busy host for long.
const LOOK: i64 = 500;
const SURE: u32 = 12;

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
    fn holds(&self, world: &World) -> bool {
        match self {
            Self::Below(live, cookie) => live.look().is_none_or(|lowest| lowest >= *cookie),
            Self::Empty(live) => live.look().is_none(),
            Self::End(_) => false,
            Self::Event(event) => world.events.holds(*event),
            Self::Exact(exact) => exact.holds(),
        }
    }

    fn print(&self) {
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
    operation: Atomic<usize>,
    number: Atomic<u64>,
    since: Atomic<i64>,
    /// Counts the waits.
    waits: Atomic<u64>,
    #[pin]
    waiting: SpinLock<Option<Waiting>>,
    #[pin]
    task: SpinLock<Option<ARef<Task>>>,
}

impl Post {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            operation: Atomic::new(ops::NONE),
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

    /// An operation begins, or with [`ops::NONE`] ends.
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

/// What was seen of one post.
#[derive(Clone, Copy, Default)]
struct Seen {
    wait: u64,
    times: u32,
    number: u64,
    reported: bool,
}

/// Starts the watchdog, which ends with the run, or when it has given up.
pub(crate) fn start(world: Arc<World>, number: usize) -> Result<Thread> {
    let mut seen = KVec::with_capacity(world.posts.len(), GFP_KERNEL)?;
    for _ in 0..world.posts.len() {
        seen.push(Seen::default(), GFP_KERNEL)?;
    }

    Thread::spawn(number, false, move || {
        while !world.is_over() {
            fsleep(Delta::from_millis(LOOK));
            let mut hung = false;
            for (i, seen) in seen.iter_mut().enumerate() {
                hung |= look(&world, i, seen);
            }
            if hung {
                world.give_up();
                world.conclude(Some(ETIMEDOUT));
                break;
            }
        }
    })
}

/// Looks at a thread; returns whether it will never end.
fn look(world: &World, i: usize, seen: &mut Seen) -> bool {
    let post = &world.posts[i];
    let operation = post.operation.load(Acquire);
    let number = post.number.load(Acquire);
    let wait = post.waits.load(Acquire);
    let name = ops::name(operation);
    let pid = post.task().map_or(0, |task| task.pid());

    if number != seen.number || wait != seen.wait {
        *seen = Seen {
            wait,
            times: 0,
            number,
            reported: false,
        };
        return false;
    }
    if operation == ops::NONE || seen.reported {
        return false;
    }
    let millis = world.millis() - post.since.load(Relaxed);
    let waiting = post.waiting.lock();

    if waiting.as_ref().is_some_and(|what| what.holds(world)) {
        seen.times += 1;
    } else {
        seen.times = 0;
    }
    let lost = seen.times >= SURE;
    if !lost && millis < world.parameters.stall * 1000 {
        return false;
    }
    seen.reported = true;
    match waiting.as_ref() {
        Some(what) if lost => {
            failed!(
                "torture/{i} (pid {pid}) sleeps in {name} for {what}, for {millis} ms, although \
                 its condition holds"
            );
        }
        Some(what) => {
            failed!("torture/{i} (pid {pid}) waits in {name} for {what}, for {millis} ms");
        }
        None => {
            failed!("torture/{i} (pid {pid}) has been in {name} for {millis} ms");
        }
    }
    if let Some(what) = waiting.as_ref() {
        what.print();
    }
    true
}
