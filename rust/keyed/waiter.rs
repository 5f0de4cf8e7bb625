// SPDX-License-Identifier: GPL-2.0

//! The filter of keyed waits, and the bucket that its waiters are in.

use super::Key;
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
        if self.exclusive && wake.left == 0 {
            return Verdict::STOP;
        }
        if self.key != wake.key {
            return Verdict::SKIP;
        }
        if !self.exclusive {
            wake.woken.shared += 1;
            return Verdict::WAKE;
        }
        wake.woken.exclusive += 1;
        wake.left -= 1;
        if wake.left == 0 {
            Verdict::WAKE_EXCLUSIVE
        } else {
            Verdict::WAKE
        }
    }
}

/// How many waiters a wake-up of a key has woken.
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
