// SPDX-License-Identifier: GPL-2.0

//! The filter of keyed waits, and the bucket that its waiters are in.

use super::{
    key::hash,
    Key, //
};
use crate::wait::{
    Filter,
    Locked,
    Sorted,
    Verdict, //
};
use core::cmp::Ordering;

/// Waits for its key, alone or with others.
///
/// Exclusive waiters stand behind all others, so that a wake-up that has found the last one it may
/// wake has already seen all that are not exclusive. Among equals the order is that in which they
/// came.
#[derive(Clone, Copy)]
pub(super) struct Waiter<K> {
    pub(super) key: K,
    pub(super) exclusive: bool,
}

impl<K> PartialEq for Waiter<K> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.exclusive == other.exclusive
    }
}

impl<K> Eq for Waiter<K> {}

impl<K> PartialOrd for Waiter<K> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Waiter<K> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.exclusive.cmp(&other.exclusive)
    }
}

/// A wake-up of a key.
pub(super) struct Wake<K> {
    key: K,
    /// How many exclusive waiters may still be woken.
    left: u64,
    woken: Woken,
}

impl<K: Key> Filter for Waiter<K> {
    type Event = Wake<K>;
    type Order = Sorted;

    #[inline]
    fn judge(&self, wake: &mut Wake<K>) -> Verdict<Sorted> {
        // Most are for another key.
        if self.key != wake.key {
            return Verdict::SKIP;
        }
        if !self.exclusive {
            wake.woken.shared += 1;
            return Verdict::WAKE;
        }
        if wake.left == 0 {
            return Verdict::STOP;
        }
        wake.woken.exclusive += 1;
        wake.left -= 1;
        if wake.left == 0 {
            Verdict::WAKE_EXCLUSIVE
        } else {
            Verdict::WAKE
        }
    }

    #[inline]
    fn traced(&self) -> u64 {
        // CAST: `usize` is at most 64 bits wide.
        hash(&self.key) as u64
    }
}

/// How many waiters a wake-up of a key has woken.
///
/// # Examples
///
/// ```
/// use async_domain::{keyed::Woken, new_wait_table};
///
/// let table = new_wait_table!(4, GFP_KERNEL, "slots")?;
/// let Woken { shared, exclusive } = table.wake_up("slot", || ());
/// assert_eq!((shared, exclusive), (0, 0));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// Those that wait together with others.
    pub shared: u64,
    /// Those that wait exclusively: what they waited for is theirs.
    pub exclusive: u64,
}

/// The bucket of a key while its lock is held, and the means to wake the waiters for that key.
///
/// See [`WaitTable::with`](super::WaitTable::with).
///
/// # Examples
///
/// ```
/// use async_domain::{keyed::Bucket, new_wait_table};
///
/// // Hands units to waiters; returns how many are left.
/// fn hand_over(units: u64, bucket: &mut Bucket<'_, '_, u32>) -> u64 {
///     units - bucket.wake_up_nr(units).exclusive
/// }
///
/// let table = new_wait_table!(4, GFP_KERNEL, "units")?;
/// assert_eq!(table.with(17, |bucket| hand_over(3, bucket)), 3);
///
/// // Or: one of them, and then all.
/// table.with(17, |bucket| {
///     bucket.wake_up();
///     bucket.wake_up_all();
///     pr_info!("nobody waits for {} any more\n", bucket.key());
/// });
/// # Ok::<(), Error>(())
/// ```
pub struct Bucket<'a, 'b, K: Key> {
    pub(super) locked: &'a mut Locked<'b, (), Waiter<K>>,
    pub(super) key: K,
}

impl<K: Key> Bucket<'_, '_, K> {
    /// Wakes all waiters for the key that are not exclusive, and the first exclusive one (C's
    /// `wake_up()`).
    #[inline]
    pub fn wake_up(&mut self) -> Woken {
        self.wake_up_nr(1)
    }

    /// Wakes all waiters for the key that are not exclusive, and as many exclusive ones as it says,
    /// perhaps none (C's `wake_up_nr()`, for which 0 means all).
    #[inline]
    pub fn wake_up_nr(&mut self, nr: u64) -> Woken {
        let mut wake = Wake {
            key: self.key,
            left: nr,
            woken: Woken::default(),
        };

        self.locked.wake(&mut wake);
        wake.woken
    }

    /// Wakes all waiters for the key (C's `wake_up_all()`).
    #[inline]
    pub fn wake_up_all(&mut self) -> Woken {
        self.wake_up_nr(u64::MAX)
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> K {
        self.key
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kernel::prelude::kunit_tests(async_domain_keyed_exclusive)]
mod tests {
    use super::*;
    use crate::{
        keyed::testing::{
            exclusive,
            shared_waiter,
            table,
            waiter,
            MODE, //
        },
        kunit::{
            eventually,
            Thread, //
        },
        wait::WaitMode,
    };
    use kernel::{
        prelude::*,
        sync::{
            atomic::{
                ordering::{
                    Full,
                    Relaxed, //
                },
                Atomic, //
            },
            Arc, //
        },
        time::{
            delay::fsleep,
            Delta, //
        },
    };

    #[test]
    fn wakes_all_shared_and_one_exclusive() -> Result {
        let table = table(1)?;
        let woken = |shared, exclusive| Woken { shared, exclusive };

        // The shared ones come before, between and after the exclusive ones, and there are
        // strangers of both kinds.
        let shared = shared_waiter(&table, 1)?;
        let first = exclusive(&table, 1, MODE)?;
        let stranger = shared_waiter(&table, 2)?;
        let between = shared_waiter(&table, 1)?;
        let lonely = exclusive(&table, 2, MODE)?;
        let second = exclusive(&table, 1, MODE)?;
        let third = exclusive(&table, 1, MODE)?;
        let last = shared_waiter(&table, 1)?;

        assert_eq!(table.wake_up(1, || ()), woken(3, 1));
        for thread in [shared, between, last, first] {
            assert_eq!(thread.join(), (Ok(()), 1));
        }
        // Only the stranger was skipped: the walk ended with the one exclusive waiter.
        assert_eq!((table.counts().wakeups, table.counts().skipped), (4, 1));

        // None of the exclusive ones, which ends the walk at the first of this key.
        assert_eq!(table.with(1, |bucket| bucket.wake_up_nr(0)), woken(0, 0));
        assert_eq!(table.counts().skipped, 4);
        assert_eq!(table.wake_up_all(1, || ()), woken(0, 2));
        for thread in [second, third] {
            assert_eq!(thread.join(), (Ok(()), 1));
        }
        assert_eq!(table.with(2, |bucket| bucket.wake_up_all()), woken(1, 1));
        assert_eq!(stranger.join(), (Ok(()), 1));
        assert_eq!(lonely.join(), (Ok(()), 1));
        assert_eq!(table.counts().spurious, 0);
        Ok(())
    }

    #[test]
    fn exclusive_waiters_are_served_in_order() -> Result {
        let table = table(1)?;
        let order = Arc::new(Atomic::new(0_u64), GFP_KERNEL)?;
        let mut waiters = KVec::new();

        for i in 0..20 {
            let order = order.clone();
            let thread = waiter(&table, move |table| {
                table.wait_event_exclusive(i % 2, MODE, || false)?;
                // Each time that the key is handed over, the next one of its waiters has it.
                if order.load(Relaxed) != i {
                    return Err(EINVAL);
                }
                order.store(i + 1, Relaxed);
                Ok(())
            })?;
            waiters.push(thread, GFP_KERNEL)?;
        }
        for i in 0..20 {
            assert_eq!(table.wake_up(i % 2, || ()).exclusive, 1);
            assert!(eventually(|| order.load(Relaxed) == i + 1));
        }
        for thread in waiters {
            assert_eq!(thread.join(), (Ok(()), 1));
        }
        assert_eq!(table.counts().spurious, 0);
        Ok(())
    }

    /// Many threads take and give back few resources that are handed over.
    #[test]
    fn ownership_is_handed_over() -> Result {
        const THREADS: usize = 8;
        const ROUNDS: usize = 150;
        const KEYS: usize = 3;

        struct Resource {
            taken: Atomic<bool>,
            users: Atomic<u32>,
            total: Atomic<u32>,
        }

        let table = table(2)?;
        let mut resources = KVec::new();
        for _ in 0..KEYS {
            resources.push(
                Resource {
                    taken: Atomic::new(false),
                    users: Atomic::new(0),
                    total: Atomic::new(0),
                },
                GFP_KERNEL,
            )?;
        }
        let resources = Arc::new(resources, GFP_KERNEL)?;
        let mut threads = KVec::new();

        for i in 0..THREADS {
            let (table, resources) = (table.clone(), resources.clone());
            let thread = Thread::spawn(move || -> Result {
                for round in 0..ROUNDS {
                    let index = (i + round) % KEYS;
                    let (key, resource) = (index as u64, &resources[index]);

                    table.wait_event_exclusive(key, MODE, || !resource.taken.xchg(true, Full))?;
                    if resource.users.fetch_add(1, Relaxed) != 0 {
                        return Err(EBUSY);
                    }
                    // Not atomic as a whole: the ownership protects it.
                    resource
                        .total
                        .store(resource.total.load(Relaxed) + 1, Relaxed);
                    if round % 8 == 0 {
                        fsleep(Delta::from_micros(50));
                    }
                    resource.users.fetch_sub(1, Relaxed);
                    table.with(key, |bucket| {
                        if bucket.wake_up().exclusive == 0 {
                            resource.taken.store(false, Relaxed);
                        }
                    });
                }
                Ok(())
            })?;
            threads.push(thread, GFP_KERNEL)?;
        }
        for thread in threads {
            assert_eq!(thread.join(), Ok(()));
        }
        let total: u32 = resources.iter().map(|r| r.total.load(Relaxed)).sum();
        assert_eq!(total as usize, THREADS * ROUNDS);
        assert!(resources.iter().all(|r| !r.taken.load(Relaxed)));
        let counts = table.counts();
        assert_eq!((counts.wakeups, counts.spurious), (counts.waits, 0));
        Ok(())
    }

    #[test]
    fn signal_and_handing_over_at_once_lose_nothing() -> Result {
        let table = table(1)?;

        for _ in 0..25 {
            let waiter = exclusive(&table, 1, WaitMode::INTERRUPTIBLE)?;
            let t = table.clone();
            let owner = Thread::spawn(move || t.wake_up(1, || ()).exclusive)?;
            waiter.signal(kernel::bindings::SIGUSR1);

            // It was handed over exactly if the waiter says so.
            match owner.join() {
                0 => assert_eq!(waiter.join().0, Err(ERESTARTSYS)),
                _ => assert_eq!(waiter.join().0, Ok(())),
            }
        }
        Ok(())
    }
}
