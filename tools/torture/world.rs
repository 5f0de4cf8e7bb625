// SPDX-License-Identifier: GPL-2.0

//! What all threads share.

use crate::{
    check,
    events::Events,
    kthread,
    model::Live,
    parameters::Parameters,
    post::Post, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Full,
                Release, //
            },
            Atomic, //
        },
        Arc,
        SpinLock, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

/// How many domains there are at a time that all threads use.
pub(crate) const DOMAINS: usize = 8;

/// What all threads share.
pub(crate) struct World {
    pub(crate) parameters: Parameters,
    start: Instant<Monotonic>,
    /// The domains of the moment.
    pub(crate) slots: KVec<Pin<KBox<SpinLock<Arc<Live>>>>>,
    /// What each thread does; the last one is the coordinator.
    pub(crate) posts: KVec<Pin<KBox<Post>>>,
    pub(crate) events: Events,
    stop: Atomic<bool>,
    pause: Atomic<bool>,
    hung: Atomic<bool>,
    over: Atomic<bool>,
    /// How many threads wait for the end of a pause, and how many have not ended.
    pub(crate) parked: Atomic<usize>,
    pub(crate) running: Atomic<usize>,
}

impl World {
    pub(crate) fn new(parameters: Parameters) -> Result<Arc<Self>> {
        let mut slots = KVec::with_capacity(DOMAINS, GFP_KERNEL)?;
        for _ in 0..DOMAINS {
            let live = Live::new()?;
            slots.push(
                KBox::pin_init(new_spinlock!(live, "torture_slot"), GFP_KERNEL)?,
                GFP_KERNEL,
            )?;
        }
        let mut posts = KVec::new();
        for _ in 0..=parameters.threads {
            posts.push(KBox::pin_init(Post::new(), GFP_KERNEL)?, GFP_KERNEL)?;
        }

        Ok(Arc::new(
            Self {
                parameters,
                start: Instant::now(),
                slots,
                posts,
                events: Events::new()?,
                stop: Atomic::new(false),
                pause: Atomic::new(false),
                hung: Atomic::new(false),
                over: Atomic::new(false),
                parked: Atomic::new(0),
                running: Atomic::new(0),
            },
            GFP_KERNEL,
        )?)
    }

    /// Milliseconds since the beginning.
    pub(crate) fn millis(&self) -> i64 {
        self.start.elapsed().as_millis()
    }

    /// A domain of the moment. Whoever holds it holds up its end.
    pub(crate) fn live(&self, slot: usize) -> Arc<Live> {
        self.slots[slot].lock().clone()
    }

    /// Lets the threads end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Acquire) || self.is_spoilt()
    }

    /// Whether a check has failed, and the run is to end because of it.
    fn is_spoilt(&self) -> bool {
        !self.parameters.keep_going && check::failures() > 0
    }

    pub(crate) fn pause(&self, pause: bool) {
        self.pause.store(pause, Release);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.pause.load(Acquire)
    }

    /// Some thread will never end.
    pub(crate) fn give_up(&self) {
        self.hung.store(true, Release);
        self.stop();
    }

    pub(crate) fn is_hung(&self) -> bool {
        self.hung.load(Acquire)
    }

    /// Whether a submission may be refused with `ESHUTDOWN`, whatever its domain.
    pub(crate) fn is_going(&self) -> bool {
        kthread::going()
    }

    /// Gives the verdict, once.
    pub(crate) fn conclude(&self, error: Option<Error>) {
        if self.over.xchg(true, Full) {
            return;
        }
        let seconds = self.millis() / 1000;
        let (total, failures) = (crate::stats::total(), check::failures());
        let Parameters { seed, threads, .. } = self.parameters;

        crate::stats::print(seconds, true);
        if failures == 0 && error.is_none() {
            pr_info!(
                "SUCCESS: {total} operations, {} checks in {seconds} s, {threads} threads, \
                 seed {seed}\n",
                check::checks()
            );
        } else {
            pr_err!(
                "FAILURE: {failures} failed checks, {total} operations in {seconds} s, \
                 {threads} threads, seed {seed} ({error:?})\n"
            );
        }
    }

    /// Whether the verdict has been given.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Acquire)
    }

    /// The verdict in a word.
    pub(crate) fn verdict(&self) -> &'static str {
        if !self.is_over() {
            "RUNNING"
        } else if check::failures() == 0 {
            "SUCCESS"
        } else {
            "FAILURE"
        }
    }
}
