// SPDX-License-Identifier: GPL-2.0

//! One thread that does random operations, and how it waits.

use crate::{
    check::{
        check,
        failed, //
    },
    kthread,
    model::Live,
    ops,
    rng::Rng,
    stats::Kind,
    timer::Timers,
    watchdog::{
        Post,
        Waiting, //
    },
    world::World, //
};
use async_domain::{
    Cookie,
    WaitMode, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::ordering::{
            Full,
            Release, //
        },
        Arc, //
    },
    time::{
        delay::fsleep,
        msecs_to_jiffies,
        Delta,
        Jiffies, //
    },
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

/// How a thread waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) mode: WaitMode,
    signals: Signals,
    /// A time limit that may be reached; else it is one that says that something is wrong.
    short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signals {
    None,
    Fatal,
    All,
}

impl How {
    /// Waits in any way. A wait without a time limit is one that nothing but its condition or a signal
    /// ends.
    pub(crate) fn any(rng: &mut Rng, world: &World) -> Self {
        let (mode, signals) = match rng.below(4) {
            0 => (WaitMode::INTERRUPTIBLE, Signals::All),
            1 => (WaitMode::KILLABLE, Signals::Fatal),
            _ => (WaitMode::UNINTERRUPTIBLE, Signals::None),
        };
        let (mode, short) = match rng.below(8) {
            0..3 => (mode.timeout(Jiffies::from(rng.below(4) as u16)), true),
            3 => (mode, false),
            _ => (mode.timeout(guard(world)), false),
        };

        Self {
            mode,
            signals,
            short,
        }
    }

    /// As [`any`](Self::any), with a short time limit.
    pub(crate) fn brief(rng: &mut Rng, world: &World) -> Self {
        let how = Self::any(rng, world);

        Self {
            mode: how.mode.timeout(Jiffies::from(rng.below(4) as u16)),
            short: true,
            ..how
        }
    }

    /// Whether the wait may end before its condition is true.
    pub(crate) fn may_end(&self) -> bool {
        self.short || self.signals != Signals::None
    }

    /// Judges how a wait has ended; returns whether its condition is said to be true.
    pub(crate) fn judge(&self, ret: Result, began: Jiffies, what: &str) -> bool {
        match ret {
            Ok(()) => return true,
            Err(e) if e == ETIMEDOUT => {
                let limit = self.mode.time_limit().unwrap_or(0);
                let slept = kthread::jiffies().wrapping_sub(began);

                check!(
                    self.short,
                    "{what} has not ended within {limit} jiffies ({self:?})"
                );
                check!(
                    slept >= limit,
                    "{what} has timed out after {slept} jiffies, too early for {limit}"
                );
            }
            Err(e) if e == ERESTARTSYS => {
                let allowed = match self.signals {
                    Signals::None => false,
                    Signals::Fatal => kthread::fatal_signal(),
                    Signals::All => kernel::current!().signal_pending(),
                };
                check!(
                    allowed,
                    "{what} was interrupted without a signal ({self:?})"
                );
                kthread::flush_signals();
            }
            Err(e) => {
                failed!("{what} fails with {e:?}");
            }
        }
        false
    }
}

/// A time in which everything ends that can: longer than the watchdog's patience, so that it speaks
/// first.
fn guard(world: &World) -> Jiffies {
    // CAST: Some seconds.
    2 * msecs_to_jiffies(1000 * world.parameters.stall as u32)
}

/// The function of a thread.
pub(crate) fn run(world: &Arc<World>, index: usize) {
    match Torturer::new(world.clone(), index) {
        Ok(torturer) => torturer.run(),
        Err(e) => {
            failed!("torture/{index} cannot begin: {e:?}");
        }
    }
    world.running.fetch_sub(1, Release);
}

impl Torturer {
    fn new(world: Arc<World>, index: usize) -> Result<Self> {
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

    /// Does random operations until the end.
    fn run(mut self) {
        let world = self.world.clone();
        // Each thread has a sequence of its own, whatever the others do.
        let mut rng = Rng::new(crate::rng::mix(
            world.parameters.seed ^ (self.index as u64 + 1),
        ));
        let choice = ops::Choice::new(world.parameters.operations);

        kthread::allow_signals();
        self.post().is_of(kthread::current());
        while !world.is_stopping() {
            if world.is_paused() {
                self.park();
                continue;
            }
            let operation = choice.next(&mut rng);
            self.post().begin(operation, world.millis());
            ops::run(operation, &mut self, &mut rng.fork());
            self.post().begin(ops::NONE, world.millis());
            if kernel::current!().signal_pending() {
                kthread::flush_signals();
            }
            kthread::resched();
        }
        self.timers.clear();
    }

    /// Waits for the end of a pause, in possession of nothing.
    fn park(&mut self) {
        let world = self.world.clone();

        self.timers.clear();
        world.parked.fetch_add(1, Full);
        while world.is_paused() && !world.is_stopping() {
            fsleep(Delta::from_millis(2));
        }
        world.parked.fetch_sub(1, Full);
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
        let began = kthread::jiffies();
        let ret = self
            .post()
            .watched(Waiting::Below(live.clone(), cookie), || {
                live.domain.synchronize_cookie_with(cookie, how.mode)
            });
        let done = how.judge(ret, began, "synchronize_cookie");

        if done {
            live.model.all_below(cookie, "synchronize_cookie");
        }
        done
    }

    /// Waits for all below a cookie, in any way, until they are done.
    pub(crate) fn synchronize(&self, rng: &mut Rng, live: &Arc<Live>, cookie: Cookie) {
        while self.may_wait() && !self.wait_below(live, cookie, How::any(rng, &self.world)) {}
    }

    /// Waits until a domain that nobody else uses has no task.
    pub(crate) fn drain(&self, live: &Arc<Live>, how: How) -> bool {
        Kind::Drain.count();
        let began = kthread::jiffies();
        let ret = self.post().watched(Waiting::Empty(live.clone()), || {
            live.domain.synchronize_full_with(how.mode)
        });
        how.judge(ret, began, "synchronize_full")
    }

    /// Drops a domain; waits for its end if this is the last reference.
    pub(crate) fn drop_domain(&self, live: Arc<Live>) {
        let model = live.model.clone();
        self.post().watched(Waiting::End(model), || drop(live));
    }
}
