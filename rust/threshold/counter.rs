// SPDX-License-Identifier: GPL-2.0

//! A count of events, and waiting for it to reach a value.

use crate::wait::{
    AtLeast,
    Counts,
    WaitMode,
    WaitQueue, //
};
use kernel::{
    prelude::*,
    sync::LockClassKey, //
};

/// A count of events that only grows; each waiter waits for it to reach a value of its own.
///
/// It is the *eventcount* of Reed and Kanodia (1979), with its `advance`, `read` and `await`. Nobody
/// takes an event away, so that any number of waiters can wait for the same one.
///
/// Waiters are sorted by their values: advancing the counter costs what the waiters that it
/// satisfies cost, however many others wait.
///
/// # Examples
///
/// ```
/// use async_domain::{new_event_counter, WaitMode};
///
/// let flushes = KBox::pin_init(new_event_counter!("flushes"), GFP_KERNEL)?;
///
/// // Perhaps in an interrupt:
/// flushes.advance(1);
///
/// // In another thread: wait until everything that is issued so far, one flush, has been done.
/// flushes.wait_for(1, WaitMode::KILLABLE)?;
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub struct EventCounter {
    #[pin]
    queue: WaitQueue<u64, AtLeast<u64>>,
}

impl EventCounter {
    /// Makes a counter that stands at 0; [`new_event_counter!`](crate::new_event_counter) calls this.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::threshold::EventCounter;
    /// use kernel::static_lock_class;
    ///
    /// let flushes = KBox::pin_init(
    ///     EventCounter::new(c"flushes", static_lock_class!()),
    ///     GFP_KERNEL,
    /// )?;
    /// assert_eq!((flushes.read(), flushes.counts().waits), (0, 0));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            queue <- WaitQueue::new(0, name, key),
        })
    }

    /// Counts `nr` more events, wakes the waiters whose values are reached, and returns the count.
    ///
    /// The count stops at [`u64::MAX`], which takes centuries at one event each nanosecond.
    ///
    /// # Context
    ///
    /// Any, hard interrupts included (not those of `PREEMPT_RT`, where the lock sleeps).
    pub fn advance(&self, nr: u64) -> u64 {
        self.queue.with(|count| {
            **count = count.saturating_add(nr);
            let mut event = **count;
            count.wake(&mut event);
            event
        })
    }

    /// The number of events so far.
    ///
    /// # Context
    ///
    /// As [`advance`](Self::advance).
    pub fn read(&self) -> u64 {
        self.queue.with(|count| **count)
    }

    /// Waits until the count is `value` or more.
    ///
    /// What was done before the [`advance`](Self::advance) that reached the value is visible
    /// afterwards.
    ///
    /// # Errors
    ///
    /// - `ERESTARTSYS`: a signal came that `mode` allows for.
    /// - `ETIMEDOUT`: the time that `mode` allows for is over.
    ///
    /// None, where `mode` allows for neither.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    pub fn wait_for<E: Copy>(&self, value: u64, mode: WaitMode<E>) -> Result<(), E> {
        self.queue.wait(
            mode,
            |count| Ok((**count < value).then_some(AtLeast(value))),
        )
    }

    /// What has happened on the counter's wait queue so far.
    pub fn counts(&self) -> Counts {
        self.queue.with(|count| count.counts())
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_event_counter)]
mod tests {
    use super::*;
    use crate::kunit::{
        self,
        eventually,
        Thread, //
    };
    use kernel::{
        sync::Arc,
        time::Delta, //
    };

    /// A thread that waits, and returns how often it went to sleep for it.
    fn waiter(
        counter: &Arc<EventCounter>,
        value: u64,
        mode: WaitMode,
    ) -> Result<Thread<(Result, usize)>> {
        let (c, waits) = (counter.clone(), counter.counts().waits);
        let thread = Thread::spawn(move || {
            let mut ret = Err(EINVAL);
            let switches = kunit::count_switches(|| ret = c.wait_for(value, mode));
            (ret, switches)
        })?;

        if eventually(|| counter.counts().waits > waits) && thread.falls_asleep() {
            Ok(thread)
        } else {
            Err(EBUSY)
        }
    }

    #[test]
    fn each_waits_for_its_own_value() -> Result {
        let counter = Arc::pin_init(crate::new_event_counter!("kunit"), GFP_KERNEL)?;
        let mode = WaitMode::UNINTERRUPTIBLE.fallible();
        let mut waiters = KVec::new();

        // Two for each value, in no order.
        for value in kunit::shuffled(20)? {
            let value = value as u64 / 2 + 1;
            waiters.push((value, waiter(&counter, value, mode)?), GFP_KERNEL)?;
        }
        for value in 1..=10 {
            assert_eq!(counter.advance(1), value);
            assert_eq!(counter.counts().wakeups, 2 * value);
            // Each walk but the last looked at one waiter too many, where it stopped.
            assert_eq!(counter.counts().skipped, core::cmp::min(value, 9));
        }
        for (_, thread) in waiters {
            // One sleep each: nobody ran to look and sleep again.
            assert_eq!(thread.join(), (Ok(()), 1));
        }
        assert_eq!(counter.counts().spurious, 0);
        assert_eq!(counter.read(), 10);
        Ok(())
    }

    #[test]
    fn reached_value_does_not_sleep() -> Result {
        let counter = Arc::pin_init(crate::new_event_counter!("kunit"), GFP_KERNEL)?;
        let no_time = WaitMode::KILLABLE.timeout(Delta::ZERO);

        kunit::with_interrupts_off(|| counter.advance(3));
        assert_eq!(counter.wait_for(3, no_time), Ok(()));
        assert_eq!(counter.wait_for(4, no_time), Err(ETIMEDOUT));
        assert_eq!(counter.advance(u64::MAX), u64::MAX);
        assert_eq!(counter.counts(), Counts::default());
        Ok(())
    }
}
