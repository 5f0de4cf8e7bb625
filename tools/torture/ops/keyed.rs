// SPDX-License-Identifier: GPL-2.0

//! Waits by key: `WaitTable`, shared and exclusive.

use crate::{
    body,
    check::check,
    events::{
        Watched,
        KEYS,
        LOCKS, //
    },
    how::{
        Began,
        How, //
    },
    post::Waiting, //
    rng::Rng,
    stats::Kind,
    torturer::Torturer,
};
use kernel::{
    prelude::*,
    sync::atomic::ordering::{
        Full,
        Relaxed, //
    },
};

/// Gives keys new versions, and waits for one.
pub(super) fn versions(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let state = torturer.world.events.state.clone();

    for _ in 0..rng.range(2, 10) {
        state.renew(rng.index(KEYS));
    }
    if rng.one_in(4) {
        let key = rng.index(KEYS);
        let version = state.versions[key].load(Relaxed) + 1;
        let how = How::any(rng, &torturer.world.parameters);
        let began = Began::now();

        Kind::WaitKey.count();
        // A wake-up grants: this one is for whatever comes next, so that the condition asks for that.
        let ret = torturer
            .post()
            .watched(Waiting::Event(Watched::Version(key, version)), || {
                state.table.wait_event((false, key), how.mode, || {
                    state.versions[key].load(Relaxed) >= version
                })
            });
        if how.judge(ret, began, "wait_event") {
            let now = state.versions[key].load(Relaxed);
            check!(
                now >= version,
                "the wait for version {version} of key {key} has ended at {now}"
            );
        }
    }
    Ok(())
}

/// Takes a lock that is handed over, and gives it back.
pub(super) fn lock(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let state = torturer.world.events.state.clone();
    let me = torturer.index as u64 + 1;

    for _ in 0..rng.range(1, 4) {
        let i = rng.index(LOCKS);
        let (lock, owner) = (&state.locks[i], &state.owners[i]);
        let how = How::any(rng, &torturer.world.parameters);
        let began = Began::now();

        Kind::Lock.count();
        let ret = torturer
            .post()
            .watched(Waiting::Event(Watched::Lock(i)), || {
                state.table.wait_event_exclusive((true, i), how.mode, || {
                    let free = !lock.load(Relaxed);
                    lock.store(true, Relaxed);
                    free
                })
            });
        if !how.judge(ret, began, "wait_event_exclusive") {
            continue;
        }
        let other = owner.xchg(me, Full);
        check!(
            other == 0,
            "lock {i} was handed to torture/{}, but torture/{} has it",
            me - 1,
            other.wrapping_sub(1)
        );
        if rng.one_in(16) {
            body::sleep(rng.range(10, 100));
        } else {
            body::spin(rng.below(50));
        }
        owner.store(0, Relaxed);

        Kind::WakeUp.count();
        state.table.with((true, i), |bucket| {
            if bucket.wake_up().exclusive == 0 {
                lock.store(false, Relaxed);
            }
        });
    }
    Ok(())
}
