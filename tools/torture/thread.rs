// SPDX-License-Identifier: GPL-2.0

//! The life of one thread: an operation after the other, until the end.

use crate::{
    check::failed,
    kthread,
    ops,
    post,
    rng::Rng,
    torturer::Torturer,
    world::World, //
};
use kernel::{
    sync::{
        atomic::ordering::{
            Full,
            Release, //
        },
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// The function of a thread.
pub(crate) fn run(world: &Arc<World>, index: usize) {
    match Torturer::new(world.clone(), index) {
        Ok(torturer) => torture(torturer),
        Err(e) => {
            failed!("torture/{index} cannot begin: {e:?}");
        }
    }
    world.running.fetch_sub(1, Release);
}

/// Does random operations until the end.
fn torture(mut torturer: Torturer) {
    let world = torturer.world.clone();
    // Each thread has a sequence of its own, whatever the others do.
    let mut rng = Rng::new(crate::rng::mix(
        world.parameters.seed ^ (torturer.index as u64 + 1),
    ));
    let choice = ops::Choice::new(world.parameters.operations);

    kthread::allow_signals();
    torturer.post().is_of(kthread::current());
    while !world.is_stopping() {
        if world.is_paused() {
            park(&mut torturer);
            continue;
        }
        let operation = choice.next(&mut rng);
        torturer.post().begin(operation, world.millis());
        ops::run(operation, &mut torturer, &mut rng.fork());
        torturer.post().begin(post::IDLE, world.millis());
        if kernel::current!().signal_pending() {
            kthread::flush_signals();
        }
        kthread::resched();
    }
    torturer.timers.clear();
}

/// Waits for the end of a pause, in possession of nothing.
fn park(torturer: &mut Torturer) {
    let world = torturer.world.clone();

    torturer.timers.clear();
    world.parked.fetch_add(1, Full);
    while world.is_paused() && !world.is_stopping() {
        fsleep(Delta::from_millis(2));
    }
    world.parked.fetch_sub(1, Full);
}
