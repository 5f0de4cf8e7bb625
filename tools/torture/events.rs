// SPDX-License-Identifier: GPL-2.0

//! What the waits by key and by threshold are about, the model beside it, and a timer that sees to it
//! that there is always something that comes.

use crate::{
    check::check,
    rng::mix,
    stats::Kind, //
};
use async_domain::{
    errno::ENOBUFS,
    keyed::WaitTable,
    new_completion_ring,
    new_event_counter,
    new_wait_table,
    threshold::{
        CompletionRing,
        EventCounter, //
    },
    WaitMode, //
};
use kernel::{
    impl_has_hr_timer, new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Full,
                Relaxed, //
            },
            Atomic, //
        },
        Arc,
        ArcBorrow,
        SpinLock, //
    },
    time::{
        hrtimer::{
            ArcHrTimerHandle,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart,
            RelativeMode, //
        },
        Delta,
        Monotonic, //
    },
};

/// More keys than queues, so that strangers share one.
pub(crate) const KEYS: usize = 16;
const QUEUES: usize = 4;
/// Keys from here on are those of locks.
pub(crate) const LOCKS: usize = 4;
pub(crate) const RING: usize = 256;
/// How often something comes, in microseconds.
const TICK: i64 = 250;

/// What a thread sleeps for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Watched {
    Count(u64),
    Version(usize, u64),
    Lock(usize),
    Events(usize),
}

/// The waits, and the model of each.
#[pin_data]
pub(crate) struct State {
    #[pin]
    timer: HrTimer<Self>,
    ticks: Atomic<u64>,

    #[pin]
    pub(crate) counter: EventCounter,
    /// All that is about to be, or has been, advanced by.
    advanced: Atomic<u64>,

    pub(crate) table: WaitTable<(bool, usize)>,
    pub(crate) versions: [Atomic<u64>; KEYS],
    pub(crate) locks: [Atomic<bool>; LOCKS],
    pub(crate) owners: [Atomic<u64>; LOCKS],

    #[pin]
    pub(crate) ring: CompletionRing<u64>,
    pub(crate) posted: Books,
    pub(crate) taken: Books,
    ticker_sequence: Atomic<u64>,
}

/// How many there were, and a sum by which one set of events can be told from another.
pub(crate) struct Books {
    count: Atomic<u64>,
    sum: Atomic<u64>,
}

impl Books {
    fn new() -> Self {
        Self {
            count: Atomic::new(0),
            sum: Atomic::new(0),
        }
    }

    pub(crate) fn enter(&self, event: u64) {
        self.count.add(1, Relaxed);
        self.sum.add(mix(event), Relaxed);
    }

    fn read(&self) -> (u64, u64) {
        (self.count.load(Acquire), self.sum.load(Acquire))
    }
}

/// An event of the ring: who posted it, and the how manieth it is.
pub(crate) fn event(producer: usize, sequence: u64) -> u64 {
    // CAST: A small number.
    (producer as u64) << 48 | sequence
}

impl State {
    fn new() -> Result<Arc<Self>> {
        let table = new_wait_table!(QUEUES, GFP_KERNEL, "torture_table")?;

        Arc::pin_init(
            try_pin_init!(Self {
                timer <- HrTimer::new(),
                ticks: Atomic::new(0),
                counter <- new_event_counter!("torture_counter"),
                advanced: Atomic::new(0),
                table,
                versions: [const { Atomic::new(0) }; KEYS],
                locks: [const { Atomic::new(false) }; LOCKS],
                owners: [const { Atomic::new(0) }; LOCKS],
                ring <- new_completion_ring!(RING, GFP_KERNEL, "torture_ring"),
                posted: Books::new(),
                taken: Books::new(),
                ticker_sequence: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Advances the counter.
    pub(crate) fn advance(&self, nr: u64) {
        Kind::Advance.count();
        // Before: no count is ever above the model's.
        self.advanced.fetch_add(nr, Full);
        let count = self.counter.advance(nr);
        check!(
            count >= nr && count <= self.advanced.load(Acquire),
            "the counter has come to {count}, by events of which there were {}",
            self.advanced.load(Relaxed)
        );
    }

    /// Checks that a value has been reached.
    pub(crate) fn has_reached(&self, value: u64) {
        let (count, model) = (self.counter.read(), self.advanced.load(Acquire));

        check!(
            count >= value && model >= count,
            "the wait for {value} events has ended at {count}, of {model}"
        );
    }

    /// Gives a key a new version, and wakes those who wait for one.
    pub(crate) fn renew(&self, key: usize) {
        Kind::WakeUp.count();
        let woken = self.table.wake_up((false, key), || {
            self.versions[key].fetch_add(1, Relaxed);
        });
        check!(
            woken.exclusive == 0,
            "key {key} has woken {woken:?}, and nobody waits for it exclusively"
        );
    }

    /// Posts an event; returns whether there was room.
    pub(crate) fn post(&self, event: u64) -> bool {
        Kind::Post.count();
        match self.ring.post(event) {
            Ok(available) => {
                self.posted.enter(event);
                check!(
                    available <= RING,
                    "the ring holds {available} of {RING} events"
                );
                true
            }
            Err(e) => {
                check!(e == ENOBUFS, "the ring refuses an event with {e:?}");
                false
            }
        }
    }
}

impl HrTimerCallback for State {
    type Pointer<'a> = Arc<Self>;

    fn run(
        this: ArcBorrow<'_, Self>,
        mut context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        let tick = this.ticks.fetch_add(1, Relaxed);

        this.advance(1 + tick % 3);
        // CAST: The remainder is small.
        this.renew((tick % KEYS as u64) as usize);
        let sequence = this.ticker_sequence.load(Relaxed) + 1;
        if this.post(event(0, sequence)) {
            this.ticker_sequence.store(sequence, Relaxed);
        }
        context.forward_now(Delta::from_micros(TICK));
        HrTimerRestart::Restart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for State {
        mode: RelativeMode<Monotonic>, field: self.timer
    }
}

/// The state and its timer.
pub(crate) struct Events {
    pub(crate) state: Arc<State>,
    ticker: Pin<KBox<SpinLock<Option<ArcHrTimerHandle<State>>>>>,
}

impl Events {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            state: State::new()?,
            ticker: KBox::pin_init(new_spinlock!(None, "torture_ticker"), GFP_KERNEL)?,
        })
    }

    /// Starts the timer.
    pub(crate) fn start(&self) {
        let running = self.state.clone().start(Delta::from_micros(TICK));
        *self.ticker.lock() = Some(running);
    }

    /// Stops it, and waits until it has.
    pub(crate) fn stop(&self) {
        let running = self.ticker.lock().take();
        drop(running);
    }

    /// Whether what a thread sleeps for is there.
    pub(crate) fn holds(&self, watched: Watched) -> bool {
        let state = &self.state;

        match watched {
            Watched::Count(value) => state.counter.read() >= value,
            Watched::Version(key, version) => state.versions[key].load(Acquire) >= version,
            Watched::Lock(lock) => !state.locks[lock].load(Acquire),
            Watched::Events(nr) => state.ring.available() >= nr,
        }
    }

    /// Checks the models, when nobody uses any of it.
    pub(crate) fn balance(&self) {
        let state = &self.state;
        let (count, model) = (state.counter.read(), state.advanced.load(Acquire));
        check!(count == model, "the counter is at {count}, of {model}");

        let mut events = [0; 16];
        while let Ok(nr @ 1..) = state.ring.wait(&mut events, 0, WaitMode::UNINTERRUPTIBLE) {
            for event in &events[..nr] {
                state.taken.enter(*event);
            }
        }
        let (posted, taken) = (state.posted.read(), state.taken.read());
        check!(
            posted == taken,
            "{} events were posted, {} taken (sums {:#x} and {:#x})",
            posted.0,
            taken.0,
            posted.1,
            taken.1
        );

        let free = state.locks.iter().all(|lock| !lock.load(Acquire));
        check!(free, "a lock is taken, and nobody has it");
        for counts in [
            state.counter.counts(),
            state.table.counts(),
            state.ring.counts(),
        ] {
            check!(
                counts.spurious == 0 && counts.wakeups <= counts.waits,
                "events: spurious wakeups, or wakeups without waits: {counts:?}"
            );
        }
    }
}
