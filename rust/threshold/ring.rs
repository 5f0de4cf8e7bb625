// SPDX-License-Identifier: GPL-2.0

//! The completion ring: how events come into it, and how consumers wait for them.

use super::{
    buffer::Buffer,
    take::{
        State,
        Take, //
    }, //
};
use crate::{
    errno::{
        ENOBUFS,
        ESHUTDOWN, //
    },
    wait::{
        Counts,
        Locked,
        WaitMode,
        WaitQueue, //
    },
};
use core::{
    cmp,
    mem,
    slice, //
};
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::LockClassKey,
    time::Delta, //
};

/// Events that producers post in any context, and consumers take in order, each event once.
///
/// A consumer says how many events it needs (`min_nr`) and how many it takes at most (the length of
/// its buffer), as with `io_getevents()`. An event that is posted goes to the first waiter, in the
/// order in which they came, whose `min_nr` is reached by the events that are there; a waiter that
/// needs more does not keep those behind it from being served. The events that a waiter is woken for
/// are its own, in its own buffer, before it runs.
///
/// The ring holds the events that nobody has been given yet, `capacity` of them at most. A post that
/// finds it full fails, and changes nothing.
///
/// # Fairness
///
/// A waiter is passed over only by those that need less than it does. As with `io_getevents()`, it
/// may be passed over for as long as others, which need less, keep taking what comes; a time limit ends
/// that with what there is.
///
/// # Examples
///
/// ```
/// use async_domain::{new_completion_ring, WaitMode};
///
/// let ring = KBox::pin_init(new_completion_ring!(64, GFP_KERNEL, "answers"), GFP_KERNEL)?;
///
/// // The interrupt handler:
/// ring.post(17)?;
/// ring.post(4)?;
///
/// // A consumer: two or more, up to eight.
/// let mut answers = [0; 8];
/// let nr = ring.wait(&mut answers, 2, WaitMode::KILLABLE)?;
/// assert_eq!(&answers[..nr], &[17, 4]);
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// Whenever the lock is free, every linked waiter needs more events than the ring holds, and no
/// waiter is linked once the ring is closed.
#[pin_data]
pub struct CompletionRing<T: Copy + Send> {
    #[pin]
    queue: WaitQueue<State<T>, Take<T>>,
    capacity: usize,
}

impl<T: Copy + Send> CompletionRing<T> {
    /// Makes an empty ring for `capacity` events;
    /// [`new_completion_ring!`](crate::new_completion_ring) calls this.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::threshold::CompletionRing;
    /// use kernel::static_lock_class;
    ///
    /// let ring = KBox::pin_init(
    ///     CompletionRing::<u32>::new(64, GFP_KERNEL, c"answers", static_lock_class!()),
    ///     GFP_KERNEL,
    /// )?;
    /// assert_eq!((ring.capacity(), ring.available()), (64, 0));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the capacity is 0.
    /// - `ENOMEM`: there is no memory for as many events.
    pub fn new(
        capacity: usize,
        flags: Flags,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            let state = State {
                events: Buffer::new(capacity, flags)?,
                least: usize::MAX,
                closed: false,
            };

            // INVARIANT: There are no waiters.
            Ok(try_pin_init!(Self {
                queue <- WaitQueue::new(state, name, key),
                capacity,
            }))
        })
    }

    /// Posts one event, and wakes the waiter that it satisfies.
    ///
    /// Returns how many events are now available: 0 if a waiter was given this one.
    /// A driver with `poll()` has news for its pollers only if it is not 0.
    ///
    /// # Errors
    ///
    /// - `ENOBUFS`: the ring is full. Nothing was lost or overwritten; the event was not posted.
    /// - `ESHUTDOWN`: the ring is closed.
    ///
    /// # Context
    ///
    /// Any, hard interrupts included (not those of `PREEMPT_RT`, where the lock sleeps).
    pub fn post(&self, event: T) -> Result<usize> {
        self.post_all(slice::from_ref(&event))
    }

    /// Posts several events at once, all or none of them, and wakes the waiters that they satisfy.
    ///
    /// As all are there before any waiter is looked at, a waiter for many gets its due even if one
    /// for fewer has come after it.
    ///
    /// Return value, errors and context are those of [`post`](Self::post).
    pub fn post_all(&self, events: &[T]) -> Result<usize> {
        self.queue.with(|state| {
            if state.closed {
                return Err(ESHUTDOWN);
            }
            if !state.events.push_all(events) {
                return Err(ENOBUFS);
            }
            // INVARIANT: `hand_out` wakes those that do not need more than there is.
            if state.events.len() >= state.least {
                Self::hand_out(state);
            }
            Ok(state.events.len())
        })
    }

    /// Wakes the waiters that are satisfied now, and learns what the others need.
    fn hand_out(state: &mut Locked<'_, State<T>, Take<T>>) {
        let least = mem::replace(&mut state.least, usize::MAX);

        // Each waiter that is passed over lowers `least` to what it needs.
        state.wake_by_data();
        if state.events.len() == 0 {
            // The walk may have ended before it had seen all.
            state.least = cmp::min(state.least, least);
        }
    }

    /// Closes the ring: posting fails from now on, and all waiters return, with what there is, in
    /// their order, or `ESHUTDOWN`.
    ///
    /// Events that are left can still be taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_completion_ring, WaitMode};
    ///
    /// let ring = KBox::pin_init(new_completion_ring!(4, GFP_KERNEL, "answers"), GFP_KERNEL)?;
    /// ring.post_all(&[1, 2, 3])?;
    /// ring.close();
    /// assert!(ring.is_closed() && ring.post(4).is_err());
    ///
    /// let mut answers = [0; 4];
    /// assert_eq!(ring.wait(&mut answers, 4, WaitMode::KILLABLE)?, 3);
    /// assert_eq!(ring.counts().spurious, 0);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Context
    ///
    /// As [`post`](Self::post).
    pub fn close(&self) {
        self.queue.with(|state| {
            state.closed = true;
            // INVARIANT: A closed ring satisfies every waiter.
            state.wake_by_data();
        });
    }

    /// How many events are available. Others may take them at any time.
    ///
    /// # Context
    ///
    /// As [`post`](Self::post).
    pub fn available(&self) -> usize {
        self.queue.with(|state| state.events.len())
    }

    /// Whether the ring is closed.
    ///
    /// # Context
    ///
    /// As [`post`](Self::post).
    pub fn is_closed(&self) -> bool {
        self.queue.with(|state| state.closed)
    }

    /// How many events the ring can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// What has happened on the ring's wait queue so far.
    pub fn counts(&self) -> Counts {
        self.queue.with(|state| state.counts())
    }
}

impl<T: Copy + Send> CompletionRing<T> {
    /// Waits for at least `min_nr` events and takes up to `events.len()`, the oldest first, each
    /// once; returns how many.
    ///
    /// Fewer than `min_nr` are returned only if the wait ended before they were there: by a signal
    /// or the end of the time that `mode` allows for, or because the ring was closed. If `min_nr`
    /// is 0, then this takes what is there, perhaps nothing, and does not sleep.
    ///
    /// What a producer did before it posted an event is visible to the consumer that took it.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `min_nr` is above `events.len()` or the ring's capacity.
    /// - `ERESTARTSYS`: a signal came that `mode` allows for, and there is no event.
    /// - `ETIMEDOUT`: the time that `mode` allows for is over, and there is no event.
    /// - `ESHUTDOWN`: the ring is closed, and there is no event.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// Source: `read_events()` in [`fs/aio.c`](srctree/fs/aio.c)
    // Tested by: mutant entry-written-after-autoremove, kunit signal_and_grant_at_once_lose_nothing.
    pub fn wait(
        &self,
        events: &mut [T],
        min_nr: usize,
        mode: impl Into<WaitMode>,
    ) -> Result<usize> {
        if min_nr > cmp::min(events.len(), self.capacity) {
            return Err(EINVAL);
        }

        let nr = events.len();
        let buffer = events.as_mut_ptr();
        let mut taken = 0;
        let granted = self.queue.wait_granted(mode.into(), |state| {
            if state.events.len() < min_nr && !state.closed {
                state.least = cmp::min(state.least, min_nr);
                // INVARIANT: The ring is not closed, and this waiter needs more than there is.
                //
                // SAFETY: `events` is borrowed exclusively for longer than the filter is in the queue.
                return Ok(Some(unsafe { Take::new(min_nr, buffer, nr) }));
            }
            // SAFETY: It is the slice's own memory.
            taken = unsafe { state.events.pop_into(buffer, nr) };
            if taken == 0 && state.closed {
                Err(ESHUTDOWN)
            } else {
                Ok(None)
            }
        });

        match granted {
            Ok(None) => Ok(taken),
            // The ring was closed, and those before us had what there was.
            Ok(Some(take)) if take.taken() == 0 => Err(ESHUTDOWN),
            Ok(Some(take)) => Ok(take.taken()),
            // The wait has ended before its time: with what there is.
            Err(e) => {
                let taken = self.queue.with(|state| {
                    // SAFETY: It is the slice's own memory: the filter is not in the queue any more.
                    unsafe { state.events.pop_into(buffer, nr) }
                });
                if taken == 0 {
                    Err(e)
                } else {
                    Ok(taken)
                }
            }
        }
    }

    /// As [`wait`](Self::wait), but content with one event once the time `min_wait` is over.
    ///
    /// Within that time the wait is for `min_nr` events, to take many at once when they come
    /// quickly; after it for one, to keep none waiting when they come slowly. The time that `mode`
    /// allows for begins with the call, and includes `min_wait`. If `min_wait` is not positive,
    /// then there is no minimum wait: this is [`wait`](Self::wait).
    ///
    /// A consumer whose minimum wait ends without an event runs once, to say that it is content
    /// with one now, and goes to the end of the queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_completion_ring, WaitMode};
    /// use kernel::time::Delta;
    ///
    /// let ring = KBox::pin_init(new_completion_ring!(64, GFP_KERNEL, "answers"), GFP_KERNEL)?;
    /// ring.post(17)?;
    ///
    /// // Four, or after 10 ms one.
    /// let mut answers = [0; 8];
    /// let nr = ring.wait_min(&mut answers, 4, Delta::from_millis(10), WaitMode::KILLABLE)?;
    /// assert_eq!(nr, 1);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// Errors and context are those of [`wait`](Self::wait).
    ///
    /// Source: `io_cqring_wait()` in [`io_uring/wait.c`](srctree/io_uring/wait.c), whose wait,
    /// other than this one, ends with the minimum wait if there is no other limit.
    pub fn wait_min(
        &self,
        events: &mut [T],
        min_nr: usize,
        min_wait: Delta,
        mode: impl Into<WaitMode>,
    ) -> Result<usize> {
        // Both waits share the time.
        let mode = mode.into().begun_now();
        let all = mode.time_left();

        if min_wait <= Delta::ZERO || all.is_some_and(|all| all <= min_wait) {
            return self.wait(events, min_nr, mode);
        }
        // A wait that times out takes what there is, if only one.
        match self.wait(events, min_nr, mode.timeout(min_wait)) {
            Err(e) if e == ETIMEDOUT => self.wait(events, cmp::min(min_nr, 1), mode),
            ret => ret,
        }
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_completion_ring)]
mod tests {
    use super::*;
    use crate::{
        ffi,
        kunit::{
            self,
            Thread, //
        },
    };
    use kernel::{
        impl_has_hr_timer,
        sync::{
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc,
            ArcBorrow, //
        },
        time::{
            hrtimer::{
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

    #[test]
    fn full_ring_loses_nothing() -> Result {
        let ring = KBox::pin_init(crate::new_completion_ring!(3, GFP_KERNEL), GFP_KERNEL)?;
        let mut events = [0; 4];

        assert_eq!(ring.capacity(), 3);
        assert_eq!(ring.post_all(&[1, 2]), Ok(2));
        // All or none.
        assert_eq!(ring.post_all(&[3, 4]), Err(ENOBUFS));
        assert_eq!(ring.post(3), Ok(3));
        assert_eq!(ring.post(4), Err(ENOBUFS));
        assert_eq!(ring.wait(&mut events, 3, WaitMode::KILLABLE), Ok(3));
        assert_eq!(events, [1, 2, 3, 0]);
        assert_eq!(ring.post(5), Ok(1));
        assert_eq!(ring.counts(), Counts::default());
        Ok(())
    }

    #[test]
    fn closed_ring_gives_what_is_left() -> Result {
        let ring = KBox::pin_init(crate::new_completion_ring!(4, GFP_KERNEL), GFP_KERNEL)?;
        let mut events = [0; 2];

        ring.post_all(&[1, 2, 3])?;
        assert!(!ring.is_closed());
        ring.close();
        assert!(ring.is_closed());
        assert_eq!(ring.post(4), Err(ESHUTDOWN));
        assert_eq!(ring.wait(&mut events, 2, WaitMode::KILLABLE), Ok(2));
        assert_eq!(events, [1, 2]);
        // Fewer than wanted, but no more will come.
        assert_eq!(ring.wait(&mut events, 2, WaitMode::KILLABLE), Ok(1));
        assert_eq!(events, [3, 2]);
        for min_nr in 0..=2 {
            let ret = ring.wait(&mut events, min_nr, WaitMode::KILLABLE);
            assert_eq!(ret, Err(ESHUTDOWN));
        }
        Ok(())
    }

    #[test]
    fn ring_of_nothing_is_invalid() {
        let ring = KBox::pin_init(
            crate::new_completion_ring!(0, GFP_KERNEL),
            GFP_KERNEL, //
        );
        let ring: Result<Pin<KBox<CompletionRing<u8>>>> = ring;
        assert_eq!(ring.err(), Some(EINVAL));
    }

    /// A device that posts by interrupt.
    #[pin_data]
    struct Device {
        #[pin]
        timer: HrTimer<Self>,
        ring: Arc<CompletionRing<u64>>,
        posted: Atomic<u64>,
        in_interrupt: Atomic<u64>,
    }

    const INTERRUPTS: u64 = 50;

    impl HrTimerCallback for Device {
        type Pointer<'a> = Arc<Self>;

        fn run(
            this: ArcBorrow<'_, Self>,
            mut context: HrTimerCallbackContext<'_, Self>,
        ) -> HrTimerRestart {
            if !ffi::in_task() {
                this.in_interrupt.add(1, Relaxed);
            }
            let next = this.posted.load(Relaxed);
            if this.ring.post(next).is_ok() {
                this.posted.store(next + 1, Relaxed);
            }
            if next + 1 >= INTERRUPTS {
                return HrTimerRestart::NoRestart;
            }
            context.forward_now(Delta::from_micros(500));
            HrTimerRestart::Restart
        }
    }

    impl_has_hr_timer! {
        impl HasHrTimer<Self> for Device {
            mode: RelativeMode<Monotonic>, field: self.timer
        }
    }

    #[test]
    fn posted_by_a_timer_interrupt() -> Result {
        let ring = Arc::pin_init(crate::new_completion_ring!(8, GFP_KERNEL), GFP_KERNEL)?;
        let of_device = ring.clone();
        let device = Arc::pin_init(
            pin_init!(Device {
                timer <- HrTimer::new(),
                ring: of_device,
                posted: Atomic::new(0),
                in_interrupt: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        let handle = device.clone().start(Delta::from_micros(500));
        let mut expected = 0;

        while expected < INTERRUPTS {
            let mut events = [0; 4];
            let min_nr = cmp::min(2, INTERRUPTS - expected) as usize;
            let nr = ring.wait(&mut events, min_nr, WaitMode::KILLABLE)?;
            assert!(nr >= min_nr);
            for event in &events[..nr] {
                assert_eq!(*event, expected);
                expected += 1;
            }
        }
        drop(handle);
        assert!(device.in_interrupt.load(Relaxed) >= INTERRUPTS);
        assert_eq!(ring.available(), 0);
        assert_eq!(ring.counts().spurious, 0);
        Ok(())
    }

    #[test]
    fn many_producers_and_consumers() -> Result {
        const EACH: u64 = 500;
        const PRODUCERS: u64 = 3;
        let ring = Arc::pin_init(crate::new_completion_ring!(7, GFP_KERNEL), GFP_KERNEL)?;
        let mut producers = KVec::new();
        let mut consumers = KVec::new();

        for min_nr in [1, 2, 3, 5] {
            let ring = ring.clone();
            let consumer = Thread::spawn(move || -> Result<KVVec<u64>> {
                let (mut mine, mut events) = (KVVec::new(), [0; 5]);
                loop {
                    match ring.wait(&mut events, min_nr, WaitMode::KILLABLE) {
                        Ok(nr) if nr < min_nr && !ring.is_closed() => return Err(EINVAL),
                        Ok(nr) => mine.extend_from_slice(&events[..nr], GFP_KERNEL)?,
                        Err(e) if e == ESHUTDOWN => return Ok(mine),
                        Err(e) => return Err(e),
                    }
                }
            })?;
            consumers.push(consumer, GFP_KERNEL)?;
        }
        for producer in 0..PRODUCERS {
            let ring = ring.clone();
            let thread = Thread::spawn(move || {
                for i in 0..EACH {
                    let event = producer * EACH + i;
                    let post = || ring.post(event);
                    while kunit::with_interrupts_off(post).is_err() {
                        kernel::time::delay::fsleep(Delta::from_micros(100));
                    }
                }
            })?;
            producers.push(thread, GFP_KERNEL)?;
        }
        for thread in producers {
            thread.join();
        }
        ring.close();

        // Each event once, and in each consumer's hands in its producer's order.
        let mut seen = KVVec::from_elem(0_u8, (PRODUCERS * EACH) as usize, GFP_KERNEL)?;
        for thread in consumers {
            let mine = thread.join()?;
            let mut next = [0; PRODUCERS as usize];
            for event in &mine {
                seen[*event as usize] += 1;
                let next = &mut next[(*event / EACH) as usize];
                assert!(*event >= *next);
                *next = *event + 1;
            }
        }
        assert!(seen.iter().all(|times| *times == 1));
        assert_eq!(ring.available(), 0);
        assert_eq!(ring.counts().waits, ring.counts().wakeups);
        assert_eq!(ring.counts().spurious, 0);
        Ok(())
    }
}
