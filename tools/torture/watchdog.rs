// SPDX-License-Identifier: GPL-2.0

//! Nobody sleeps whose condition holds: a thread that looks at what the others wait for.
//!
//! Every thread says what it does, and before it sleeps, what it sleeps for. Who is seen asleep again
//! and again in one and the same wait although its condition holds has lost its wake-up. Who is in one
//! operation for very long, although nothing takes long here, waits for something that does not come.
//! Both are reported with the state of the queue, and spoil the run.

use crate::{
    check::failed,
    kthread::Thread,
    ops,
    post::IDLE,
    world::World, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::ordering::{
            Acquire,
            Relaxed, //
        },
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// How often it looks, in milliseconds, and after how many looks in a row it is sure. A thread that
/// has been woken may have to wait for its CPU, on a busy host for long.
const LOOK: i64 = 500;
const SURE: u32 = 12;

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
    if operation == IDLE || seen.reported {
        return false;
    }
    let millis = world.millis() - post.since.load(Relaxed);
    let waiting = post.waiting.lock();

    if waiting
        .as_ref()
        .is_some_and(|what| what.holds(&world.events))
    {
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
