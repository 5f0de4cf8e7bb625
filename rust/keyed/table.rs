// SPDX-License-Identifier: GPL-2.0

//! The table: keys are hashed to wait queues that many keys share.

use super::{
    key,
    waiter::Waiter,
    Bucket,
    Key,
    Woken, //
};
use crate::wait::{
    Counts,
    Locked,
    WaitMode,
    WaitQueue, //
};
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::LockClassKey, //
};

/// A hashed table of wait queues, each of which is shared by many keys.
///
/// # Examples
///
/// Blocks of a device that are being read, and waits for one of them:
///
/// ```
/// use async_domain::{keyed::WaitTable, new_wait_table, WaitMode};
/// use kernel::sync::atomic::{ordering::Relaxed, Atomic};
///
/// struct Cache {
///     up_to_date: KVec<Atomic<bool>>,
///     readers: WaitTable<usize>,
/// }
///
/// impl Cache {
///     /// The block has been read; may be called in an interrupt.
///     fn complete(&self, block: usize) {
///         self.readers.wake_up(block, || self.up_to_date[block].store(true, Relaxed));
///     }
///
///     fn wait(&self, block: usize) -> Result {
///         self.readers.wait_event(block, WaitMode::KILLABLE, || {
///             self.up_to_date[block].load(Relaxed)
///         })
///     }
/// }
///
/// let mut up_to_date = KVec::new();
/// for _ in 0..1000 {
///     up_to_date.push(Atomic::new(false), GFP_KERNEL)?;
/// }
/// let cache = Cache {
///     up_to_date,
///     readers: new_wait_table!(16, GFP_KERNEL, "readers")?,
/// };
/// cache.complete(17);
/// cache.wait(17)?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `buckets` holds `mask + 1` queues, which do not move until they are dropped.
pub struct WaitTable<K: Key> {
    buckets: KVVec<WaitQueue<(), Waiter<K>>>,
    mask: usize,
}

impl<K: Key> WaitTable<K> {
    /// Allocates a table; [`new_wait_table!`](crate::new_wait_table) calls this.
    ///
    /// More queues make it rarer that different keys share one, which costs their wakers a
    /// comparison for each other's waiters, and the lock. Nobody is woken for another's key.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the number of queues is not a power of two from 1 to 2^20.
    /// - `ENOMEM`: there is no memory for them.
    // Tested by: kunit thousands_of_resources_in_two_queues, compile-fail table_key_outlived.
    pub fn new(
        buckets: usize,
        flags: Flags,
        name: &'static CStr,
        class: Pin<&'static LockClassKey>,
    ) -> Result<Self> {
        if !buckets.is_power_of_two() || buckets > 1 << 20 {
            return Err(EINVAL);
        }

        let mut queues = KVVec::<WaitQueue<(), Waiter<K>>>::with_capacity(buckets, flags)?;
        for slot in queues.spare_capacity_mut().iter_mut().take(buckets) {
            // SAFETY: The slot is valid for writing. The vector is never grown again, so that what
            // it holds stays in place until it is dropped.
            unsafe { WaitQueue::init_raw(slot.as_mut_ptr(), (), name, class) };
        }
        // SAFETY: As many have just been initialised, which is not more than the capacity.
        unsafe { queues.inc_len(buckets) };

        // INVARIANT: The vector holds as many queues. They are on the heap, and no method adds to
        // the vector or takes from it.
        Ok(Self {
            buckets: queues,
            mask: buckets - 1,
        })
    }

    #[inline]
    // Tested by: kunit thousands_of_resources_in_two_queues, compile-fail table_key_outlived.
    fn queue(&self, key: &K) -> &WaitQueue<(), Waiter<K>> {
        let bucket = key::hash(key) & self.mask;

        // SAFETY: By the type invariant the mask leaves a valid index.
        unsafe { self.buckets.get_unchecked(bucket) }
    }

    /// Sleeps until the key is woken, unless the condition is true already.
    ///
    /// The condition is called once, under the lock of the key's queue. A thread that makes it true must
    /// do so under the same lock, with [`wake_up`](Self::wake_up) or [`with`](Self::with).
    ///
    /// The difference to C's `wait_var_event()` is that the condition is not checked again after a
    /// wake-up: to be woken is to be told that it is true. If that happens, then this function
    /// returns `Ok`, even if a signal comes or the time is over in the same moment.
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
    /// Process context; may sleep. The condition must not sleep, and must not reach the table.
    #[inline]
    pub fn wait_event<E: Copy>(
        &self,
        key: K,
        mode: WaitMode<E>,
        condition: impl FnOnce() -> bool,
    ) -> Result<(), E> {
        self.wait(key, mode, false, condition)
    }

    /// As [`wait_event`](Self::wait_event), for something that only one can have: a wake-up hands it
    /// over to the first waiter for the key that waits in this way, and to no other.
    ///
    /// The condition, too, takes it if it can: it returns `true` if the caller has got it. After
    /// `Ok` the caller owns it, in either way. After an error it does not, and nobody else has lost
    /// it.
    ///
    /// The difference to C's `wait_on_bit_lock()` is that it is handed over to the waiter that has
    /// waited longest, and no other thread can take it in between.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_wait_table, WaitMode};
    /// use kernel::sync::atomic::{ordering::Relaxed, Atomic};
    ///
    /// let table = new_wait_table!(4, GFP_KERNEL, "slots")?;
    /// let taken = Atomic::new(false);
    ///
    /// // Takes the slot, or waits until it is handed over: see `with` for that.
    /// table.wait_event_exclusive("slot", WaitMode::KILLABLE, || !taken.xchg(true, Relaxed))?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// Errors and context are those of [`wait_event`](Self::wait_event).
    #[inline]
    pub fn wait_event_exclusive<E: Copy>(
        &self,
        key: K,
        mode: WaitMode<E>,
        condition: impl FnOnce() -> bool,
    ) -> Result<(), E> {
        self.wait(key, mode, true, condition)
    }

    fn wait<E: Copy>(
        &self,
        key: K,
        mode: WaitMode<E>,
        exclusive: bool,
        condition: impl FnOnce() -> bool,
    ) -> Result<(), E> {
        self.queue(&key).wait(mode, |_| {
            Ok((!condition()).then_some(Waiter { key, exclusive }))
        })
    }

    /// Calls `change`, and wakes all waiters for the key that are not exclusive, and the first one
    /// that is, in one critical section of the lock of the key's queue.
    ///
    /// What was done before is visible to the woken waiters, and to those whose condition was
    /// found true because of it.
    ///
    /// If it makes a difference whether there is an exclusive waiter, as it does for a lock that is
    /// handed over, use [`with`](Self::with).
    ///
    /// # Context
    ///
    /// Any, hard interrupts included (not those of `PREEMPT_RT`, where the lock sleeps). `change`
    /// must not sleep, and must not reach the table.
    #[inline]
    pub fn wake_up(&self, key: K, change: impl FnOnce()) -> Woken {
        self.with(key, |bucket| {
            change();
            bucket.wake_up()
        })
    }

    /// As [`wake_up`](Self::wake_up), and wakes all exclusive waiters, too.
    #[inline]
    pub fn wake_up_all(&self, key: K, change: impl FnOnce()) -> Woken {
        self.with(key, |bucket| {
            change();
            bucket.wake_up_all()
        })
    }

    /// Runs `f` under the lock of the key's queue, with interrupts off.
    ///
    /// # Examples
    ///
    /// Something is given back, which goes to the next waiter, or becomes free:
    ///
    /// ```
    /// use async_domain::new_wait_table;
    /// use kernel::sync::atomic::{ordering::Relaxed, Atomic};
    ///
    /// let table = new_wait_table!(4, GFP_KERNEL, "slots")?;
    /// let taken = Atomic::new(true);
    ///
    /// table.with("slot", |bucket| {
    ///     if bucket.wake_up().exclusive == 0 {
    ///         taken.store(false, Relaxed);
    ///     }
    /// });
    /// assert!(!taken.load(Relaxed));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Context
    ///
    /// As [`wake_up`](Self::wake_up).
    #[inline]
    pub fn with<R>(&self, key: K, f: impl FnOnce(&mut Bucket<'_, '_, K>) -> R) -> R {
        self.queue(&key)
            .with(|locked: &mut Locked<'_, (), Waiter<K>>| f(&mut Bucket { locked, key }))
    }

    /// The number of queues in the table.
    #[inline]
    pub fn nr_buckets(&self) -> usize {
        self.buckets.len()
    }

    /// What has happened on all queues of the table so far, each looked at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::new_wait_table;
    ///
    /// let table = new_wait_table!(16, GFP_KERNEL, "blocks")?;
    /// table.wake_up_all(17, || ());
    /// assert_eq!((table.nr_buckets(), table.counts().wakeups), (16, 0));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Context
    ///
    /// As [`wake_up`](Self::wake_up).
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();

        for queue in &self.buckets {
            let counts = queue.with(|locked| locked.counts());
            sum.waits += counts.waits;
            sum.wakeups += counts.wakeups;
            sum.skipped += counts.skipped;
            sum.spurious += counts.spurious;
        }
        sum
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_wait_table)]
mod tests {
    use super::*;
    use crate::{
        keyed::{
            shared,
            testing::{
                exclusive,
                shared_waiter,
                table,
                Table,
                MODE, //
            },
            Address, //
        },
        kunit::{
            self,
            eventually,
            settle,
            Thread, //
        },
    };
    use kernel::{
        sync::{
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc, //
        },
        time::{
            delay::udelay,
            Delta, //
        },
    };

    fn soon(ms: i64) -> WaitMode {
        MODE.timeout(Delta::from_millis(ms))
    }

    #[test]
    fn thousands_of_resources_in_two_queues() -> Result {
        const RESOURCES: u64 = 4000;
        const WAITERS: u64 = 100;
        let table = table(2)?;
        let mut waiters = KVec::new();

        // Each 80th resource has two waiters.
        for i in 0..WAITERS {
            let key = i / 2 * 80;
            waiters.push(shared_waiter(&table, key)?, GFP_KERNEL)?;
        }
        for key in kunit::shuffled(RESOURCES as usize)? {
            let key = key as u64;
            let expected = if key % 80 == 0 { 2 } else { 0 };
            let woken = table.wake_up(key, || ());
            assert_eq!((woken.shared, woken.exclusive), (expected, 0));
        }
        for thread in waiters {
            // Exactly one sleep: nobody was woken for another's resource.
            assert_eq!(thread.join(), (Ok(()), 1));
        }
        let counts = table.counts();
        assert_eq!(
            (counts.waits, counts.wakeups, counts.spurious),
            (WAITERS, WAITERS, 0)
        );
        // They did share their queues.
        assert!(counts.skipped > 10 * RESOURCES);
        Ok(())
    }

    #[test]
    fn true_condition_does_not_sleep() -> Result {
        let table = table(1)?;
        let mut ret = Err(EINVAL);

        let switches = kunit::count_switches(|| ret = table.wait_event(1, MODE, || true));
        assert_eq!((ret, switches), (Ok(()), 0));
        assert_eq!(table.wait_event_exclusive(1, MODE, || true), Ok(()));
        let no_time = MODE.timeout(Delta::ZERO);
        assert_eq!(table.wait_event(1, no_time, || false), Err(ETIMEDOUT));
        assert_eq!(table.counts(), Counts::default());
        Ok(())
    }

    #[test]
    fn waits_end_as_their_mode_says() -> Result {
        let table = table(1)?;

        assert_eq!(exclusive(&table, 1, soon(20))?.join(), (Err(ETIMEDOUT), 1));

        let waiter = exclusive(&table, 1, WaitMode::INTERRUPTIBLE)?;
        waiter.signal(kernel::bindings::SIGUSR1);
        assert_eq!(waiter.join(), (Err(ERESTARTSYS), 1));

        let waiter = exclusive(&table, 1, WaitMode::KILLABLE)?;
        waiter.signal(kernel::bindings::SIGUSR1);
        settle();
        assert_eq!(table.wake_up(1, || ()).exclusive, 1);
        assert_eq!(waiter.join(), (Ok(()), 1));
        // The waiters that gave up are not there any more.
        assert_eq!(table.wake_up_all(1, || ()), Woken::default());
        Ok(())
    }

    #[test]
    fn no_wakeup_is_lost() -> Result {
        struct Shared {
            table: Arc<Table>,
            looking: Atomic<bool>,
            done: Atomic<bool>,
        }

        for key in 0..10 {
            let shared = Arc::new(
                Shared {
                    table: table(1)?,
                    looking: Atomic::new(false),
                    done: Atomic::new(false),
                },
                GFP_KERNEL,
            )?;
            let waker = shared.clone();
            let waker = Thread::spawn(move || {
                while !waker.looking.load(Relaxed) {
                    kunit::relax();
                }
                let change = || waker.done.store(true, Relaxed);
                kunit::with_interrupts_off(|| waker.table.wake_up(key, change).shared)
            })?;

            // Between the look and the sleep there is a lot of time for the change and the wake-up:
            // they must not happen in it.
            let ret = shared.table.wait_event(key, soon(10_000), || {
                let done = shared.done.load(Relaxed);
                shared.looking.store(true, Relaxed);
                for _ in 0..50 {
                    udelay(Delta::from_micros(100));
                }
                done
            });
            assert_eq!(ret, Ok(()));
            assert_eq!(waker.join(), 1);
            assert_eq!(shared.table.counts().spurious, 0);
        }
        Ok(())
    }

    #[test]
    fn shared_table_tells_resources_apart() -> Result {
        let resources = Arc::new([Atomic::new(false), Atomic::new(false)], GFP_KERNEL)?;
        let waits = shared().counts().waits;
        let mut waiters = KVec::new();

        assert_eq!(shared().nr_buckets(), 256);
        for i in 0..2 {
            let resources = resources.clone();
            let wait = move || {
                let resource = &resources[i];
                shared().wait_event(Address::of(resource), MODE, || resource.load(Relaxed))
            };
            waiters.push(Thread::spawn(wait)?, GFP_KERNEL)?;
        }
        assert!(eventually(|| shared().counts().waits >= waits + 2));
        for (resource, waiter) in resources.iter().zip(waiters) {
            let set = || resource.store(true, Relaxed);
            assert_eq!(shared().wake_up(Address::of(resource), set).shared, 1);
            assert_eq!(waiter.join(), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn number_of_queues_is_a_power_of_two() {
        for buckets in [0, 3, 1 << 21] {
            let table = crate::new_wait_table!(buckets, GFP_KERNEL);
            let table: Result<WaitTable<u8>> = table;
            assert_eq!(table.err(), Some(EINVAL));
        }
    }
}
