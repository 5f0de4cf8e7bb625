// SPDX-License-Identifier: GPL-2.0

//! The filter of a completion ring's waiters, and the state that they take events out of.

use super::buffer::Buffer;
use crate::wait::{
    Fifo,
    Filter,
    Verdict, //
};
use core::cmp;

/// What the lock of a completion ring protects.
pub(super) struct State<T: Copy> {
    /// The events that nobody has been given.
    pub(super) events: Buffer<T>,
    /// No waiter needs fewer events than this. May be lower than what any of them needs.
    pub(super) least: usize,
    pub(super) closed: bool,
}

/// Waits until `min_nr` events are there, or the ring is closed, and takes up to `nr`.
///
/// The event of the filter is the ring's state, out of which it takes.
///
/// # Invariants
///
/// While a filter is in a queue, `buffer` is valid for writing `nr` events, and nobody else touches
/// them.
#[derive(Clone, Copy)]
pub(super) struct Take<T> {
    min_nr: usize,
    buffer: *mut T,
    nr: usize,
    taken: usize,
}

impl<T> Take<T> {
    /// Makes the filter of a waiter for `min_nr` events, of which it takes up to `nr`.
    ///
    /// # Safety
    ///
    /// While the filter is in a queue, `buffer` must be valid for writing `nr` events, and nobody else use it.
    pub(super) unsafe fn new(min_nr: usize, buffer: *mut T, nr: usize) -> Self {
        // INVARIANT: The caller promises all of it.
        Self {
            min_nr,
            buffer,
            nr,
            taken: 0,
        }
    }

    /// How many events the waiter has been given.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }
}

// SAFETY: The buffer is borrowed exclusively by the waiter, and written by the waker:
// events may go from one thread to another.
// Tested by: mutant entry-written-after-autoremove, kunit signal_and_grant_at_once_lose_nothing.
unsafe impl<T: Send> Send for Take<T> {}
// SAFETY: Through a shared reference the buffer is not touched.
// Tested by: mutant entry-written-after-autoremove, kunit signal_and_grant_at_once_lose_nothing.
unsafe impl<T: Send> Sync for Take<T> {}

impl<T: Copy + Send> Filter for Take<T> {
    type Event = State<T>;
    type Order = Fifo;

    #[inline]
    fn judge(&self, state: &mut State<T>) -> Verdict<Fifo> {
        let available = state.events.len();

        if state.closed {
            Verdict::WAKE
        } else if available < self.min_nr {
            state.least = cmp::min(state.least, self.min_nr);
            Verdict::SKIP
        } else if available <= self.nr {
            Verdict::WAKE_EXCLUSIVE
        } else {
            Verdict::WAKE
        }
    }

    #[inline]
    // Tested by: mutant entry-written-after-autoremove, kunit signal_and_grant_at_once_lose_nothing.
    fn grant(&mut self, state: &mut State<T>) {
        // SAFETY: By the type invariant: filters are asked while they are in the queue.
        self.taken = unsafe { state.events.pop_into(self.buffer, self.nr) };
    }

    #[inline]
    fn traced(&self) -> u64 {
        // CAST: `usize` is at most 64 bits wide.
        self.min_nr as u64
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kernel::prelude::kunit_tests(async_domain_completion_wait)]
mod tests {
    use crate::{
        kunit::{
            self,
            eventually,
            settle,
            Thread, //
        },
        threshold::CompletionRing,
        wait::{
            Counts,
            WaitMode, //
        },
    };
    use kernel::{
        prelude::*,
        sync::Arc,
        time::Delta, //
    };

    type Ring = CompletionRing<u32>;

    fn ring(capacity: usize) -> Result<Arc<Ring>> {
        Arc::pin_init(
            crate::new_completion_ring!(capacity, GFP_KERNEL),
            GFP_KERNEL,
        )
    }

    /// The events that a consumer got, and how often it went to sleep for them.
    type Got = (Result<KVec<u32>>, usize);

    fn consumer(
        ring: &Arc<Ring>,
        nr: usize,
        wait: impl FnOnce(&Ring, &mut [u32]) -> Result<usize> + Send + 'static,
    ) -> Result<Thread<Got>> {
        let (r, waits) = (ring.clone(), ring.counts().waits);
        let mut events = KVec::from_elem(0, nr, GFP_KERNEL)?;
        let thread = Thread::spawn(move || {
            kunit::allow_signal(kernel::bindings::SIGUSR1);
            let mut ret = Err(EINVAL);
            let switches = kunit::count_switches(|| ret = wait(&r, &mut events));
            let ret = ret.map(|nr| {
                events.truncate(nr);
                events
            });
            (ret, switches)
        })?;

        if eventually(|| ring.counts().waits > waits) && thread.falls_asleep() {
            Ok(thread)
        } else {
            Err(EBUSY)
        }
    }

    /// A consumer of at least `min_nr` and up to `nr` events.
    fn taker(ring: &Arc<Ring>, min_nr: usize, nr: usize, mode: WaitMode) -> Result<Thread<Got>> {
        consumer(ring, nr, move |ring, events| {
            ring.wait(events, min_nr, mode)
        })
    }

    /// It got these, slept once, and was not woken before they were there.
    fn assert_got(thread: Thread<Got>, expected: &[u32]) {
        let (events, switches) = thread.join();
        assert_eq!(events.as_deref(), Ok(expected));
        assert_eq!(switches, 1);
    }

    const MODE: WaitMode = WaitMode::UNINTERRUPTIBLE.fallible();

    #[test]
    fn objection_of_2006() -> Result {
        // In both orders, since it depends on an implementation who is at the head of the queue.
        for two_comes_first in [true, false] {
            let ring = ring(8)?;
            let (two, three);

            if two_comes_first {
                two = taker(&ring, 2, 2, MODE)?;
                three = taker(&ring, 3, 3, MODE)?;
            } else {
                three = taker(&ring, 3, 3, MODE)?;
                two = taker(&ring, 2, 2, MODE)?;
            }
            // Nobody is satisfied by one, and nobody is looked at.
            assert_eq!(ring.post(1), Ok(1));
            assert_eq!(ring.counts().skipped, 0);
            // The one for two runs, and has them.
            assert_eq!(ring.post(2), Ok(0));
            assert_got(two, &[1, 2]);
            assert_eq!(ring.counts().wakeups, 1);

            assert_eq!(ring.post(3), Ok(1));
            assert_eq!(ring.post(4), Ok(2));
            assert_eq!(ring.post(5), Ok(0));
            assert_got(three, &[3, 4, 5]);
            assert_eq!(
                ring.counts(),
                Counts {
                    waits: 2,
                    wakeups: 2,
                    // When the fourth event made it two again, since the walk to the one for two
                    // may have ended early; and on that walk, if it had to pass.
                    skipped: 1 + u64::from(!two_comes_first),
                    spurious: 0,
                }
            );
        }
        Ok(())
    }

    #[test]
    fn more_waiters_than_events() -> Result {
        let ring = ring(8)?;
        let first = taker(&ring, 1, 1, MODE)?;
        let greedy = taker(&ring, 1, 4, MODE)?;
        let third = taker(&ring, 1, 1, MODE)?;
        let last = taker(&ring, 2, 2, MODE)?;

        // The second takes more than it needs, since it is its turn.
        assert_eq!(ring.post_all(&[1, 2, 3]), Ok(0));
        assert_got(first, &[1]);
        assert_got(greedy, &[2, 3]);
        // Nobody else was looked at, let alone woken.
        assert_eq!((ring.counts().wakeups, ring.counts().skipped), (2, 0));
        assert_eq!(ring.post_all(&[4, 5, 6]), Ok(0));
        assert_got(third, &[4]);
        assert_got(last, &[5, 6]);
        assert_eq!(ring.counts().spurious, 0);
        Ok(())
    }

    #[test]
    fn woken_waiter_has_its_events_whatever_others_do() -> Result {
        let ring = ring(4)?;

        for i in 0..25 {
            let waiter = taker(&ring, 2, 2, MODE)?;
            // It is woken by this, but a thread that is here already cannot take its events away.
            ring.post_all(&[2 * i, 2 * i + 1])?;
            assert_eq!(ring.wait(&mut [0; 4], 0, MODE), Ok(0));
            // Nor do its events take up room.
            assert_eq!(ring.available(), 0);
            assert_got(waiter, &[2 * i, 2 * i + 1]);
        }
        Ok(())
    }

    #[test]
    fn demanding_waiter_gets_its_turn() -> Result {
        let ring = ring(8)?;
        let three = taker(&ring, 3, 3, MODE)?;
        let one = taker(&ring, 1, 1, MODE)?;

        assert_eq!(ring.post_all(&[1, 2, 3]), Ok(0));
        assert_got(three, &[1, 2, 3]);
        ring.post(4)?;
        assert_got(one, &[4]);
        Ok(())
    }

    #[test]
    fn time_limit_gives_what_there_is() -> Result {
        let ring = ring(4)?;
        let soon = MODE.timeout(Delta::from_millis(20));
        let mut events = [0; 4];

        assert_eq!(ring.wait(&mut events, 2, soon), Err(ETIMEDOUT));
        ring.post(7)?;
        assert_eq!(ring.wait(&mut events, 2, soon), Ok(1));
        assert_eq!(events[0], 7);
        assert_eq!(ring.available(), 0);
        // Without a wait.
        ring.post(8)?;
        assert_eq!(ring.wait(&mut events, 2, MODE.timeout(Delta::ZERO)), Ok(1));
        assert_eq!(
            ring.wait(&mut events, 2, MODE.timeout(Delta::ZERO)),
            Err(ETIMEDOUT)
        );
        assert_eq!(ring.wait(&mut events, 0, MODE), Ok(0));
        // What can never come is not waited for.
        assert_eq!(ring.wait(&mut events[..1], 2, MODE), Err(EINVAL));
        assert_eq!(ring.wait(&mut [0; 5], 5, MODE), Err(EINVAL));
        assert_eq!(ring.counts().waits, 2);
        Ok(())
    }

    #[test]
    fn signal_gives_what_there_is() -> Result {
        let ring = ring(4)?;
        let waiter = taker(&ring, 2, 2, WaitMode::INTERRUPTIBLE)?;
        waiter.signal(kernel::bindings::SIGUSR1);
        assert_eq!(waiter.join().0.err(), Some(ERESTARTSYS));

        let waiter = taker(&ring, 2, 2, WaitMode::INTERRUPTIBLE)?;
        ring.post(1)?;
        waiter.signal(kernel::bindings::SIGUSR1);
        assert_eq!(waiter.join().0.as_deref(), Ok(&[1][..]));
        assert_eq!(ring.available(), 0);
        Ok(())
    }

    #[test]
    fn signal_and_grant_at_once_lose_nothing() -> Result {
        let ring = ring(4)?;

        for i in 0..25 {
            let waiter = taker(&ring, 1, 1, WaitMode::INTERRUPTIBLE)?;
            let r = ring.clone();
            let poster = Thread::spawn(move || r.post(i))?;
            waiter.signal(kernel::bindings::SIGUSR1);
            assert!(poster.join().is_ok());

            // Either it has the event, or the ring has it still.
            let mut left = [0];
            let nr = ring.wait(&mut left, 0, MODE)?;
            let left = &left[..nr];
            match waiter.join().0 {
                Ok(events) => assert_eq!((&events[..], left), (&[i][..], &[][..])),
                Err(e) => assert_eq!((e, left), (ERESTARTSYS, &[i][..])),
            }
        }
        Ok(())
    }

    #[test]
    fn after_the_minimum_wait_one_is_enough() -> Result {
        let ring = ring(8)?;
        // So long that a loaded host does not make the events late that are posted within it.
        let min_wait = Delta::from_millis(1000);
        let taker = |min_wait, mode| {
            consumer(&ring, 4, move |ring, events| {
                ring.wait_min(events, 3, min_wait, mode)
            })
        };

        // Within it, three are.
        let waiter = taker(Delta::from_millis(60_000), MODE)?;
        ring.post_all(&[1, 2])?;
        settle();
        assert_eq!(ring.counts().wakeups, 0);
        ring.post(3)?;
        assert_got(waiter, &[1, 2, 3]);

        // What there is at its end.
        let waiter = taker(min_wait, MODE)?;
        ring.post_all(&[4, 5])?;
        assert_got(waiter, &[4, 5]);
        assert_eq!(ring.counts().wakeups, 1);

        // The first one after its end.
        let waits = ring.counts().waits;
        let waiter = taker(min_wait, MODE)?;
        assert!(eventually(|| ring.counts().waits == waits + 2));
        ring.post(6)?;
        assert_eq!(waiter.join().0, Ok(kernel::kvec![6]?));
        assert_eq!(ring.counts().waits, waits + 2);

        // Without one, three are needed for ever.
        let waiter = taker(Delta::ZERO, MODE)?;
        ring.post_all(&[7, 8])?;
        settle();
        ring.post(9)?;
        assert_got(waiter, &[7, 8, 9]);

        // The end of all time, with it or after it.
        let longer = min_wait + Delta::from_millis(4);
        for limit in [Delta::from_millis(4), longer] {
            let mode = MODE.timeout(limit);
            assert_eq!(taker(min_wait, mode)?.join().0.err(), Some(ETIMEDOUT));
        }
        // Nobody was woken by the ring without need.
        assert_eq!(ring.counts().spurious, 0);
        Ok(())
    }

    #[test]
    fn closing_wakes_all_with_what_there_is() -> Result {
        let ring = ring(4)?;
        let first = taker(&ring, 3, 3, MODE)?;
        let second = taker(&ring, 3, 4, MODE)?;
        ring.post_all(&[1, 2])?;

        ring.close();
        assert_got(first, &[1, 2]);
        assert_eq!(second.join().0.err(), Some(ESHUTDOWN));
        assert_eq!(ring.counts().spurious, 0);
        Ok(())
    }
}
