// SPDX-License-Identifier: GPL-2.0

//! What belongs to one thread that does random operations, and its waits for tasks.

use crate::{
    how::{
        Began,
        How, //
    },
    model::Live,
    post::{
        Post,
        Waiting, //
    },
    rng::Rng,
    stats::Kind,
    timer::Timers,
    world::World, //
};
use async_domain::Cookie;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A thread.
pub(crate) struct Torturer {
    pub(crate) world: Arc<World>,
    pub(crate) index: usize,
    pub(crate) timers: Timers,
    /// Of each producer of ring events the last one that this thread was given.
    pub(crate) last_events: KVec<u64>,
    /// The number of the next ring event of its own.
    pub(crate) next_event: u64,
}

impl Torturer {
    pub(crate) fn new(world: Arc<World>, index: usize) -> Result<Self> {
        let mut last_events = KVec::new();
        for _ in 0..=world.parameters.threads {
            last_events.push(0, GFP_KERNEL)?;
        }
        Ok(Self {
            world,
            index,
            timers: Timers::new()?,
            last_events,
            next_event: 1,
        })
    }

    pub(crate) fn post(&self) -> &Post {
        &self.world.posts[self.index]
    }

    /// Whether what waits for others may go on to do so.
    pub(crate) fn may_wait(&self) -> bool {
        !self.world.is_hung()
    }

    /// One of the domains.
    pub(crate) fn live(&self, rng: &mut Rng) -> Arc<Live> {
        self.world.live(rng.index(self.world.slots.len()))
    }

    /// Waits once for all below a cookie; returns whether they are done.
    pub(crate) fn wait_below(&self, live: &Arc<Live>, cookie: Cookie, how: How) -> bool {
        Kind::Synchronize.count();
        let began = Began::now();
        let ret = self
            .post()
            .watched(Waiting::Below(live.clone(), cookie), || {
                live.domain.synchronize_with(how.mode, ..cookie)
            });
        let done = how.judge(ret, began, "synchronize_below");

        if done {
            live.model.all_below(cookie, "synchronize_below");
        }
        done
    }

    /// Waits for all below a cookie, in any way, until they are done.
    pub(crate) fn synchronize(&self, rng: &mut Rng, live: &Arc<Live>, cookie: Cookie) {
        while self.may_wait()
            && !self.wait_below(live, cookie, How::any(rng, &self.world.parameters))
        {}
    }

    /// Waits until a domain that nobody else uses has no task.
    pub(crate) fn drain(&self, live: &Arc<Live>, how: How) -> bool {
        Kind::Drain.count();
        let began = Began::now();
        let ret = self.post().watched(Waiting::Empty(live.clone()), || {
            live.domain.synchronize_with(how.mode, ..)
        });
        how.judge(ret, began, "synchronize")
    }

    /// Drops a domain; waits for its end if this is the last reference.
    pub(crate) fn drop_domain(&self, live: Arc<Live>) {
        let model = live.model.clone();
        self.post().watched(Waiting::End(model), || drop(live));
    }
}
