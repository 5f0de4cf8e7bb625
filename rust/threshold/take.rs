// SPDX-License-Identifier: GPL-2.0

//! How consumers take events out of a completion ring.

use super::ring::{
    CompletionRing,
    State, //
};
use crate::{
    errno::ESHUTDOWN,
    wait::{
        Fifo,
        Filter,
        Verdict,
        WaitMode, //
    },
};
use core::cmp;
use kernel::{
    prelude::*,
    time::Jiffies, //
};

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

// SAFETY: The buffer is borrowed exclusively by the one who waits, and written by whoever wakes:
// events may go from one thread to another.
unsafe impl<T: Send> Send for Take<T> {}
// SAFETY: Through a shared reference the buffer is not touched.
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

impl<T: Copy + Send> CompletionRing<T> {
    /// Waits for at least `min_nr` events and takes up to `events.len()`, the oldest first, each
    /// once; returns how many.
    ///
    /// Fewer than `min_nr` are returned only if the wait ended before they were there: by a signal
    /// or the end of the time that `mode` allows for, or because the ring was closed. If `min_nr`
    /// is 0, then this takes what is there, perhaps nothing, and does not sleep.
    ///
    /// What a producer did before it posted an event is visible to the one who took it.
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
    pub fn wait(&self, events: &mut [T], min_nr: usize, mode: WaitMode) -> Result<usize> {
        if min_nr > cmp::min(events.len(), self.capacity) {
            return Err(EINVAL);
        }

        let nr = events.len();
        let buffer = events.as_mut_ptr();
        let mut taken = 0;
        let granted = self.queue.wait_granted(mode, |state| {
            if state.events.len() < min_nr && !state.closed {
                state.least = cmp::min(state.least, min_nr);
                // INVARIANT: `events` is borrowed for longer than the filter is in the queue. (Of
                // the ring: it is not closed, and this waiter needs more than there is.)
                return Ok(Some(Take {
                    min_nr,
                    buffer,
                    nr,
                    taken: 0,
                }));
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
            Ok(Some(Take { taken: 0, .. })) => Err(ESHUTDOWN),
            Ok(Some(take)) => Ok(take.taken),
            // The wait has ended before its time: with what there is.
            Err(e) => {
                let taken = self.queue.with(|state| {
                    // SAFETY: As above. The filter is not in the queue any more.
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

    /// As [`wait`](Self::wait), but content with one event once `min_wait` jiffies are over.
    ///
    /// Within that time the wait is for `min_nr` events, to take many at once when they come
    /// quickly; after it for one, to keep none waiting when they come slowly. The time that `mode`
    /// allows for begins with the call, and includes `min_wait`. If `min_wait` is 0, then there is no
    /// minimum wait: this is [`wait`](Self::wait).
    ///
    /// A consumer whose minimum wait ends without an event runs once, to say that it is content
    /// with one now, and goes to the end of the queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_completion_ring, WaitMode};
    /// use kernel::time::msecs_to_jiffies;
    ///
    /// let ring = KBox::pin_init(new_completion_ring!(64, GFP_KERNEL, "answers"), GFP_KERNEL)?;
    /// ring.post(17)?;
    ///
    /// // Four, or after 10 ms one.
    /// let mut answers = [0; 8];
    /// let nr = ring.wait_min(&mut answers, 4, msecs_to_jiffies(10), WaitMode::KILLABLE)?;
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
        min_wait: Jiffies,
        mode: WaitMode,
    ) -> Result<usize> {
        let left = match mode.time_limit() {
            _ if min_wait == 0 => return self.wait(events, min_nr, mode),
            Some(limit) if limit <= min_wait => return self.wait(events, min_nr, mode),
            Some(limit) => mode.timeout(limit - min_wait),
            None => mode,
        };

        // A wait that times out takes what there is, if only one.
        match self.wait(events, min_nr, mode.timeout(min_wait)) {
            Err(e) if e == ETIMEDOUT => self.wait(events, cmp::min(min_nr, 1), left),
            ret => ret,
        }
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_completion_wait)]
mod tests {
    use super::*;
    use crate::{
        kunit::{
            self,
            eventually,
            settle,
            Thread, //
        },
        wait::Counts,
    };
    use kernel::{
        sync::Arc,
        time::msecs_to_jiffies, //
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

    const MODE: WaitMode = WaitMode::UNINTERRUPTIBLE;

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
                    vain: 0,
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
        assert_eq!(ring.counts().vain, 0);
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
        let soon = MODE.timeout(msecs_to_jiffies(20));
        let mut events = [0; 4];

        assert_eq!(ring.wait(&mut events, 2, soon), Err(ETIMEDOUT));
        ring.post(7)?;
        assert_eq!(ring.wait(&mut events, 2, soon), Ok(1));
        assert_eq!(events[0], 7);
        assert_eq!(ring.available(), 0);
        // Without a wait.
        ring.post(8)?;
        assert_eq!(ring.wait(&mut events, 2, MODE.timeout(0)), Ok(1));
        assert_eq!(ring.wait(&mut events, 2, MODE.timeout(0)), Err(ETIMEDOUT));
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
        let min_wait = msecs_to_jiffies(200);
        let taker = |min_wait, mode| {
            consumer(&ring, 4, move |ring, events| {
                ring.wait_min(events, 3, min_wait, mode)
            })
        };

        // Within it, three are.
        let waiter = taker(msecs_to_jiffies(60_000), MODE)?;
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
        let waiter = taker(0, MODE)?;
        ring.post_all(&[7, 8])?;
        settle();
        ring.post(9)?;
        assert_got(waiter, &[7, 8, 9]);

        // The end of all time, with it or after it.
        let limit = |jiffies| MODE.timeout(jiffies);
        for mode in [limit(1), limit(min_wait + 1)] {
            assert_eq!(taker(min_wait, mode)?.join().0.err(), Some(ETIMEDOUT));
        }
        // Nobody was woken by the ring without need.
        assert_eq!(ring.counts().vain, 0);
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
        assert_eq!(ring.counts().vain, 0);
        Ok(())
    }
}
