// SPDX-License-Identifier: GPL-2.0

//! The thread that leads the run: phases, between which all stand still and the books are balanced;
//! statistics; the end and the verdict.

use crate::{
    body,
    check::check,
    kthread::Thread,
    post::{
        self,
        Waiting, //
    },
    stats,
    thread,
    watchdog,
    world::World, //
};
use async_domain::synchronize_all;
use kernel::{
    prelude::*,
    sync::{
        atomic::ordering::{
            Acquire,
            Release, //
        },
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// Starts the threads, and the one that leads them.
pub(crate) fn start(world: Arc<World>) -> Result<Thread> {
    let threads = world.parameters.threads;

    Thread::spawn(threads, false, move || {
        let error = start_threads(&world).and_then(|threads| {
            lead(&world);
            finish(&world, threads)
        });
        world.conclude(error.err());
    })
}

fn start_threads(world: &Arc<World>) -> Result<KVec<Thread>> {
    let mut threads = KVec::new();

    for i in 0..world.parameters.threads {
        let own = world.clone();

        world.running.fetch_add(1, Release);
        // Every other one is bound to a CPU.
        let thread = Thread::spawn(i, i % 2 == 0, move || thread::run(&own, i));
        let pushed = thread.and_then(|thread| Ok(threads.push(thread, GFP_KERNEL)?));
        if let Err(e) = pushed {
            world.running.fetch_sub(1, Release);
            world.stop();
            let _ = finish(world, threads);
            return Err(e);
        }
    }
    // It ends by itself when these have.
    let number = world.parameters.threads + 1;
    match watchdog::start(world.clone(), number) {
        Ok(thread) => threads.push(thread, GFP_KERNEL)?,
        Err(e) => {
            world.stop();
            finish(world, threads)?;
            return Err(e);
        }
    }
    Ok(threads)
}

/// Lets one phase follow another until the end.
fn lead(world: &World) {
    let parameters = &world.parameters;
    let mut printed = 0;
    let mut phase_end = parameters.phase * 1000;

    world.events.start();
    while !world.is_stopping() {
        fsleep(Delta::from_millis(20));
        let millis = world.millis();
        if parameters.stat_interval > 0 && millis >= printed + parameters.stat_interval * 1000 {
            printed = millis;
            stats::print(millis / 1000, parameters.verbose);
        }
        if parameters.seconds > 0 && millis >= parameters.seconds * 1000 {
            world.stop();
        } else if millis >= phase_end {
            stand_still(world);
            phase_end = world.millis() + parameters.phase * 1000;
        }
    }
}

/// Balances the books while no thread does anything.
fn stand_still(world: &World) {
    world.pause(true);
    while world.parked.load(Acquire) < world.parameters.threads {
        if world.is_stopping() {
            return;
        }
        fsleep(Delta::from_millis(1));
    }
    world.events.stop();
    balance(world);
    world.events.start();
    world.pause(false);
}

/// Nobody submits anything any more: waits for what is there, and checks that nothing is left.
fn balance(world: &World) {
    let own = &world.posts[world.parameters.threads];

    own.begin(post::BALANCE, world.millis());
    check!(
        synchronize_all() == Ok(()),
        "synchronize_all fails, although the caller is no task"
    );
    for slot in 0..world.slots.len() {
        let live = world.live(slot);
        let drained = own.watched(Waiting::Empty(live.clone()), || live.domain.synchronize(..));

        check!(drained == Ok(()), "synchronize(..) fails with {drained:?}");
        live.is_idle();
    }
    body::balance();
    world.events.balance();
    own.begin(post::IDLE, world.millis());
}

/// Waits for the end of all threads, and balances the books for the last time.
fn finish(world: &World, threads: KVec<Thread>) -> Result {
    while world.running.load(Acquire) > 0 && !world.is_hung() {
        fsleep(Delta::from_millis(5));
    }
    world.events.stop();
    if !world.is_hung() {
        balance(world);
    }
    world.conclude(None);
    // If one has hung, then this waits for it, and so does the unloading of the module, whose code the
    // thread will need if it ever goes on. The verdict has been given.
    for thread in threads {
        thread.join();
    }
    Ok(())
}
