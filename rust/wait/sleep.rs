// SPDX-License-Identifier: GPL-2.0

//! Sleeping in a queue: the function in whose frame a thread's entry lives.

use super::{
    entry::Entry,
    mode::Sleep,
    queued::Queued,
    Filter,
    Locked,
    WaitMode,
    WaitQueue, //
};
use crate::ffi;
use kernel::{
    prelude::*,
    task::might_sleep, //
};

/// Panics in an interrupt, which cannot sleep. To try it would switch away from the thread that it has interrupted,
/// or from the idle one, and have the stack of interrupts used again.
#[inline]
pub(crate) fn assert_can_sleep() {
    if !ffi::in_task() {
        panic!("an interrupt waits, and cannot");
    }
}

impl<T, F: Filter> WaitQueue<T, F> {
    /// Sleeps until a waker finds the filter satisfied that `check` answers with.
    ///
    /// `check` is called once, under the lock, and looks at the data: `Ok(None)` says that there is
    /// nothing to wait for, `Ok(Some(filter))` that the thread has to sleep until a waker's event
    /// satisfies the filter, and an error is returned as it is. When a waker has found the filter
    /// satisfied, then this function returns `Ok`, whatever else may have happened by then; the
    /// data is not looked at again.
    ///
    /// # Errors
    ///
    /// - `ERESTARTSYS`: a signal came that `mode` allows for.
    /// - `ETIMEDOUT`: the time that `mode` allows for is over.
    ///
    /// Where `mode` allows for neither, only `check` can fail, and `E` says that it cannot: such a mode is
    /// made one for a `check` that can fail by [`WaitMode::fallible`].
    ///
    /// # Context
    ///
    /// Process context; may sleep. The lock must not be held. An interrupt that would have to sleep panics.
    pub fn wait<E: Copy>(
        &self,
        mode: WaitMode<E>,
        check: impl FnOnce(&mut Locked<'_, T, F>) -> Result<Option<F>, E>,
    ) -> Result<(), E> {
        self.wait_granted(mode, check).map(|_| ())
    }

    /// As [`wait`](Self::wait), and returns the filter as [`Filter::grant`] left it; `None` if
    /// `check` found that there is nothing to wait for.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{
    ///     new_wait_queue,
    ///     wait::{Fifo, Filter, Verdict, WaitQueue},
    ///     WaitMode,
    /// };
    ///
    /// /// Waits for a unit, and is told which one it has got.
    /// #[derive(Clone, Copy)]
    /// struct Unit(Option<u32>);
    ///
    /// impl Filter for Unit {
    ///     type Event = Option<u32>;
    ///     type Order = Fifo;
    ///
    ///     fn judge(&self, unit: &mut Option<u32>) -> Verdict<Fifo> {
    ///         Verdict::wake_if(unit.is_some())
    ///     }
    ///
    ///     fn grant(&mut self, unit: &mut Option<u32>) {
    ///         self.0 = unit.take();
    ///     }
    /// }
    ///
    /// fn get(units: &WaitQueue<Option<u32>, Unit>) -> Result<u32> {
    ///     let mut free = None;
    ///     let granted = units.wait_granted(WaitMode::KILLABLE, |unit| {
    ///         free = unit.take();
    ///         Ok(free.is_none().then_some(Unit(None)))
    ///     })?;
    ///     granted.map_or(free, |waiter| waiter.0).ok_or(EINVAL)
    /// }
    ///
    /// let units = KBox::pin_init(new_wait_queue!(Some(17)), GFP_KERNEL)?;
    /// assert_eq!(get(&units)?, 17);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait). After an error nothing was granted.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The lock must not be held.
    // Tested by: mutant no-recheck-after-queueing, mutant state-set-after-unlock.
    pub fn wait_granted<E: Copy>(
        &self,
        mode: WaitMode<E>,
        check: impl FnOnce(&mut Locked<'_, T, F>) -> Result<Option<F>, E>,
    ) -> Result<Option<F>, E> {
        might_sleep();
        let mut sleep = mode.begin();

        // The entry lives in this frame, which cannot be left while it is linked: there is no
        // guard that could be leaked, only this function, and it returns past `finish_wait()`.
        let mut entry = core::mem::MaybeUninit::<Entry<F>>::uninit();

        let queued = self.with(|locked| {
            let Some(filter) = check(locked)? else {
                return Ok(None);
            };
            if let Some(error) = sleep.is_late() {
                return Err(error);
            }
            assert_can_sleep();

            let entry = entry.write(Entry::new(filter));
            // SAFETY: The entry is unlinked, and stays in place until `sleep` has seen it unlinked.
            let queued = unsafe { Queued::link(self, entry, locked) };
            // Set before the lock is dropped, so that a waker that finds the entry also finds a
            // thread that it can wake.
            sleep.prepare();
            Ok(Some(queued))
        })?;

        let Some(queued) = queued else {
            return Ok(None);
        };
        let ret = Self::sleep(&queued, &mut sleep);
        // SAFETY: Head and entry are valid; the entry is unlinked, so that this only sets the state
        // of the current thread to running.
        unsafe { ffi::finish_wait(self.head(), queued.wait()) };
        ret.map(|()| queued.granted())
    }

    /// Sleeps until the linked entry of this thread has been unlinked, or unlinks it because of a
    /// signal or the end of its time.
    // Tested by: mutant timeout-without-second-look, mutant state-not-set-again.
    fn sleep<E: Copy>(queued: &Queued<'_, T, F>, sleep: &mut Sleep<E>) -> Result<(), E> {
        loop {
            sleep.sleep();

            // The common case takes no lock.
            if queued.is_granted() {
                return Ok(());
            }

            // A signal, the end of our time, or a wake-up that does not come from the queue. Under the lock,
            // since a waker may be just about to grant.
            let error = queued.unless_granted(|entry, locked| {
                let error = sleep.is_over();
                if error.is_some() {
                    entry.unlink();
                } else {
                    entry.sleeps_again(locked);
                    sleep.prepare();
                }
                error
            });
            match error {
                Some(None) => (),
                Some(Some(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_wait)]
mod tests {
    use super::*;
    use crate::{
        kunit::{
            self,
            eventually,
            settle,
            Thread, //
        },
        wait::{
            Counts,
            Fifo,
            Sorted,
            Verdict, //
        },
    };
    use core::convert::Infallible;
    use kernel::{
        sync::Arc,
        time::{
            Delta,
            Instant,
            Monotonic, //
        },
    };

    /// Waits for a count, in order.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct AtLeast(u64);

    impl Filter for AtLeast {
        type Event = u64;
        type Order = Sorted;

        fn judge(&self, count: &mut u64) -> Verdict<Sorted> {
            Verdict::wake_or_stop(*count >= self.0)
        }
    }

    /// Waits until so many are left in the event, and takes them.
    #[derive(Clone, Copy)]
    struct Take(u64);

    impl Filter for Take {
        type Event = u64;
        type Order = Fifo;

        fn judge(&self, left: &mut u64) -> Verdict<Fifo> {
            let enough = *left >= self.0;
            if enough {
                *left -= self.0;
            }
            Verdict::wake_if(enough)
        }
    }

    type Counter = WaitQueue<u64, AtLeast>;

    fn counter() -> Result<Arc<Counter>> {
        Arc::pin_init(crate::new_wait_queue!(0), GFP_KERNEL)
    }

    fn wait_for<E: Copy>(queue: &Counter, value: u64, mode: WaitMode<E>) -> Result<(), E> {
        queue.wait(
            mode,
            |count| Ok((**count < value).then_some(AtLeast(value))),
        )
    }

    fn set(queue: &Counter, value: u64) -> u64 {
        queue.with(|count| {
            **count = value;
            let mut event = value;
            count.wake(&mut event)
        })
    }

    fn counts<T, F: Filter>(queue: &WaitQueue<T, F>) -> Counts {
        queue.with(|locked| locked.counts())
    }

    fn waiter(
        queue: &Arc<Counter>,
        value: u64,
        mode: impl Into<WaitMode>,
    ) -> Result<Thread<Result>> {
        let (q, mode) = (queue.clone(), mode.into());
        let waits = counts(queue).waits;
        let thread = Thread::spawn(move || {
            kunit::allow_signal(kernel::bindings::SIGUSR1);
            kunit::allow_signal(kernel::bindings::SIGKILL);
            wait_for(&q, value, mode)
        })?;

        if eventually(|| counts(queue).waits > waits) && thread.falls_asleep() {
            Ok(thread)
        } else {
            Err(EBUSY)
        }
    }

    fn is_empty<T, F: Filter>(queue: &WaitQueue<T, F>) -> bool {
        queue.with(|locked| !locked.has_waiters())
    }

    #[test]
    fn satisfied_condition_does_not_sleep() -> Result {
        let queue = counter()?;

        set(&queue, 5);
        let switches = kunit::count_switches(|| {
            let Ok(()) = wait_for(&queue, 5, WaitMode::UNINTERRUPTIBLE);
        });
        assert_eq!(switches, 0);
        assert_eq!(counts(&queue), Counts::default());
        Ok(())
    }

    #[test]
    fn sorted_walk_wakes_the_satisfied_and_stops() -> Result {
        let queue = counter()?;
        let mode = WaitMode::UNINTERRUPTIBLE;

        // They come in another order than that in which they are satisfied.
        let five = waiter(&queue, 5, mode)?;
        let three = waiter(&queue, 3, mode)?;
        let four = waiter(&queue, 4, mode)?;
        let one = waiter(&queue, 1, mode)?;

        assert_eq!(set(&queue, 3), 2);
        assert_eq!(one.join(), Ok(()));
        assert_eq!(three.join(), Ok(()));
        // Only the first of the others was looked at.
        assert_eq!(counts(&queue).skipped, 1);

        assert_eq!(set(&queue, 5), 2);
        assert_eq!(four.join(), Ok(()));
        assert_eq!(five.join(), Ok(()));
        assert_eq!(
            counts(&queue),
            Counts {
                waits: 4,
                wakeups: 4,
                skipped: 1,
                spurious: 0,
            }
        );
        Ok(())
    }

    #[test]
    fn fifo_waiter_does_not_starve_behind_a_more_demanding_one() -> Result {
        let queue: Arc<WaitQueue<(), Take>> =
            Arc::pin_init(crate::new_wait_queue!(()), GFP_KERNEL)?;
        let spawn = |nr: u64| -> Result<Thread<Result>> {
            let q = queue.clone();
            let waits = counts(&queue).waits;
            let mode = WaitMode::UNINTERRUPTIBLE.fallible();
            let thread = Thread::spawn(move || q.wait(mode, |_| Ok(Some(Take(nr)))))?;
            if eventually(|| counts(&queue).waits > waits) {
                Ok(thread)
            } else {
                Err(EBUSY)
            }
        };

        let three = spawn(3)?;
        let two = spawn(2)?;
        // Two have come: too few for the first waiter, enough for the second.
        assert_eq!(queue.with(|locked| locked.wake(&mut 2)), 1);
        assert_eq!(two.join(), Ok(()));

        // Five have come: the third waiter gets what the first one leaves.
        let other = spawn(2)?;
        let mut left = 5;
        assert_eq!(queue.with(|locked| locked.wake(&mut left)), 2);
        assert_eq!(left, 0);
        assert_eq!(three.join(), Ok(()));
        assert_eq!(other.join(), Ok(()));
        Ok(())
    }

    #[test]
    fn timed_out_waiter_leaves_the_queue_intact() -> Result {
        let queue = counter()?;
        let before = waiter(&queue, 1, WaitMode::UNINTERRUPTIBLE)?;
        let mode = WaitMode::UNINTERRUPTIBLE.timeout(Delta::from_millis(50));
        let timed = waiter(&queue, 2, mode)?;
        let after = waiter(&queue, 3, WaitMode::UNINTERRUPTIBLE)?;

        assert_eq!(timed.join(), Err(ETIMEDOUT));
        assert_eq!(set(&queue, 3), 2);
        assert_eq!(before.join(), Ok(()));
        assert_eq!(after.join(), Ok(()));
        assert!(is_empty(&queue));
        assert_eq!(counts(&queue).spurious, 0);
        Ok(())
    }

    #[test]
    fn timeout_of_zero_does_not_sleep() -> Result {
        let queue = counter()?;
        let mode = WaitMode::UNINTERRUPTIBLE.timeout(Delta::ZERO);

        assert_eq!(wait_for(&queue, 1, mode), Err(ETIMEDOUT));
        assert_eq!(wait_for(&queue, 0, mode), Ok(()));
        assert_eq!(counts(&queue).waits, 0);
        Ok(())
    }

    #[test]
    fn interrupted_waiter_leaves_the_queue_intact() -> Result {
        let queue = counter()?;
        let interrupted = waiter(&queue, 2, WaitMode::INTERRUPTIBLE)?;
        let other = waiter(&queue, 1, WaitMode::INTERRUPTIBLE)?;

        interrupted.signal(kernel::bindings::SIGUSR1);
        assert_eq!(interrupted.join(), Err(ERESTARTSYS));
        assert_eq!(set(&queue, 2), 1);
        assert_eq!(other.join(), Ok(()));
        assert!(is_empty(&queue));
        Ok(())
    }

    #[test]
    fn killed_waiter_leaves_the_queue_intact() -> Result {
        let queue = counter()?;
        let killed = waiter(&queue, 1, WaitMode::KILLABLE)?;
        let other = waiter(&queue, 2, WaitMode::KILLABLE)?;

        // A signal that is not fatal does not end a killable wait.
        killed.signal(kernel::bindings::SIGUSR1);
        settle();
        assert_eq!(counts(&queue).wakeups, 0);
        assert!(!is_empty(&queue));

        killed.signal(kernel::bindings::SIGKILL);
        assert_eq!(killed.join(), Err(ERESTARTSYS));
        assert_eq!(set(&queue, 2), 1);
        assert_eq!(other.join(), Ok(()));
        assert!(is_empty(&queue));
        Ok(())
    }

    #[test]
    fn uninterruptible_waiter_ignores_signals() -> Result {
        let queue = counter()?;
        let waiter = waiter(&queue, 1, WaitMode::UNINTERRUPTIBLE)?;

        waiter.signal(kernel::bindings::SIGKILL);
        settle();
        assert!(!is_empty(&queue));
        assert_eq!(set(&queue, 1), 1);
        assert_eq!(waiter.join(), Ok(()));
        Ok(())
    }

    #[test]
    fn spurious_wakeup_is_counted_and_sleeps_again() -> Result {
        let queue = counter()?;
        let waiter = waiter(&queue, 1, WaitMode::UNINTERRUPTIBLE)?;

        waiter.wake_up();
        assert!(eventually(|| counts(&queue).spurious == 1));
        assert!(waiter.falls_asleep());
        assert_eq!(set(&queue, 1), 1);
        assert_eq!(waiter.join(), Ok(()));
        assert_eq!(counts(&queue).spurious, 1);
        Ok(())
    }

    #[test]
    fn modes_show_in_the_state() -> Result {
        use kernel::bindings::{
            TASK_FREEZABLE,
            TASK_IDLE,
            TASK_INTERRUPTIBLE,
            TASK_KILLABLE,
            TASK_NOLOAD,
            TASK_UNINTERRUPTIBLE, //
        };
        const FOREVER: WaitMode<Infallible> = WaitMode::UNINTERRUPTIBLE;
        let queue = counter()?;
        let minute = Delta::from_secs(60);

        for (mode, state, io) in [
            (FOREVER.fallible(), TASK_UNINTERRUPTIBLE, false),
            (FOREVER.idle().into(), TASK_IDLE, false),
            (FOREVER.io().into(), TASK_UNINTERRUPTIBLE, true),
            (FOREVER.idle().timeout(minute), TASK_IDLE, false),
            (
                FOREVER.freezable().into(),
                TASK_UNINTERRUPTIBLE | TASK_FREEZABLE,
                false,
            ),
            (
                FOREVER.freezable().idle().into(),
                TASK_IDLE | TASK_FREEZABLE,
                false,
            ),
            (
                FOREVER.io().timeout(minute).hrtimer(minute),
                TASK_UNINTERRUPTIBLE,
                true,
            ),
            (
                WaitMode::INTERRUPTIBLE.freezable(),
                TASK_INTERRUPTIBLE | TASK_FREEZABLE,
                false,
            ),
            (WaitMode::KILLABLE.io(), TASK_KILLABLE, true),
            (
                WaitMode::KILLABLE.idle(),
                TASK_KILLABLE | TASK_NOLOAD,
                false,
            ),
            (
                WaitMode::KILLABLE.timeout(minute).freezable(),
                TASK_KILLABLE | TASK_FREEZABLE,
                false,
            ),
        ] {
            let waiter = waiter(&queue, 1, mode)?;
            assert_eq!(waiter.sleep_state(), Some((state, io)));
            // It is the same after a wake-up that grants nothing.
            let spurious = counts(&queue).spurious;
            waiter.wake_up();
            assert!(eventually(|| counts(&queue).spurious > spurious));
            assert!(waiter.falls_asleep());
            assert_eq!(waiter.sleep_state(), Some((state, io)));

            assert_eq!(set(&queue, 1), 1);
            assert_eq!(waiter.join(), Ok(()));
            set(&queue, 0);
        }
        Ok(())
    }

    #[test]
    fn limits_are_kept() -> Result {
        let queue = counter()?;
        let now = Instant::<Monotonic>::now;
        let short = Delta::from_millis(20);
        let mode = WaitMode::UNINTERRUPTIBLE.io();

        for mode in [
            mode.timeout(short),
            mode.timeout(short).hrtimer(Delta::ZERO),
        ] {
            let began = now();
            assert_eq!(wait_for(&queue, 1, mode), Err(ETIMEDOUT));
            // Jiffies may be late by some.
            assert!(began.elapsed() + Delta::from_millis(10) > short);
            assert_eq!(wait_for(&queue, 0, mode), Ok(()));
        }

        // One time for all waits.
        let began = now();
        let mode = mode.deadline(began + short);
        for mode in [mode.hrtimer(Delta::from_micros(50)), mode] {
            assert_eq!(wait_for(&queue, 1, mode), Err(ETIMEDOUT));
            assert!(began.elapsed() >= short);
            assert!(mode.time_left() <= Some(Delta::ZERO));
        }
        assert_eq!(counts(&queue).waits, 3);
        assert_eq!(counts(&queue).spurious, 0);
        assert_eq!(WaitMode::KILLABLE.time_left(), None);
        Ok(())
    }

    #[test]
    fn a_limit_can_be_shorter_than_a_jiffy() -> Result {
        let queue = counter()?;
        let mode = WaitMode::UNINTERRUPTIBLE
            .timeout(Delta::from_micros(100))
            .hrtimer(Delta::ZERO);
        let mut shortest = Delta::from_secs(1);

        for _ in 0..50 {
            let began = Instant::<Monotonic>::now();
            assert_eq!(wait_for(&queue, 1, mode), Err(ETIMEDOUT));
            shortest = shortest.min(began.elapsed());
        }
        assert!(shortest >= Delta::from_micros(100));
        // Two jiffies are what it would be otherwise, on the average.
        assert!(shortest < Delta::from_micros(1_000_000 / i64::from(ffi::CONFIG_HZ)));
        Ok(())
    }

    #[test]
    fn wakeups_race_with_grants() -> Result {
        // Somebody wakes the waiter all the time, so that grants find it awake.
        for value in 1..=20 {
            let queue = counter()?;
            let waiter = waiter(&queue, value, WaitMode::UNINTERRUPTIBLE)?;
            let q = queue.clone();
            let granter = Thread::spawn(move || set(&q, value))?;

            while !is_empty(&queue) {
                waiter.wake_up();
                kunit::relax();
            }
            assert_eq!(granter.join(), 1);
            assert_eq!(waiter.join(), Ok(()));
        }
        Ok(())
    }
}
