// SPDX-License-Identifier: GPL-2.0

//! Filters for common conditions.

use super::filter::{
    Fifo,
    Filter,
    Sorted,
    Verdict, //
};

/// Waits for a wake-up: the waker wakes when the condition of all waiters is true.
#[derive(Clone, Copy)]
pub(crate) struct AnyWakeup;

impl Filter for AnyWakeup {
    type Event = ();
    type Order = Fifo;

    #[inline]
    fn judge(&self, _event: &mut ()) -> Verdict<Fifo> {
        Verdict::WAKE
    }
}

/// Waits until a value, the event, is this one or a greater one.
///
/// Waiters are sorted by their values, so that the first one that is not satisfied ends the walk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AtLeast<T>(pub(crate) T);

impl<T: Copy + Ord + Send + Sync + Into<u64>> Filter for AtLeast<T> {
    type Event = T;
    type Order = Sorted;

    #[inline]
    fn judge(&self, value: &mut T) -> Verdict<Sorted> {
        Verdict::wake_or_stop(*value >= self.0)
    }

    #[inline]
    fn traced(&self) -> u64 {
        self.0.into()
    }
}
