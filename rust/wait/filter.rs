// SPDX-License-Identifier: GPL-2.0

//! Filters: the conditions of waiters, and the verdicts on them.

use core::{
    cmp::Ord,
    marker::PhantomData, //
};

/// The condition that one waiter of a [`WaitQueue`](super::WaitQueue) waits for.
///
/// # Examples
///
/// Waiters for bits of a mask; the event is the set of bits that have come up:
///
/// ```
/// use async_domain::wait::{Fifo, Filter, Verdict};
///
/// #[derive(Clone, Copy)]
/// struct AnyOf(u32);
///
/// impl Filter for AnyOf {
///     type Event = u32;
///     type Order = Fifo;
///
///     fn judge(&self, bits: &mut u32) -> Verdict<Fifo> {
///         Verdict::wake_if(*bits & self.0 != 0)
///     }
///
///     // For the tracepoints.
///     fn traced(&self) -> u64 {
///         self.0.into()
///     }
/// }
/// ```
pub trait Filter: Copy + Send + Sync {
    /// What a waker says about what it has changed.
    ///
    /// A filter may take from the event what it uses up, so that waiters behind it are judged by
    /// what is left.
    type Event;

    /// The order in which waiters stand in the queue: [`Fifo`] or [`Sorted`].
    type Order: Order<Self>;

    /// Says whether the event makes this waiter's condition true.
    ///
    /// Is called under the head's lock with interrupts off: it must only compare. See the
    /// [module's rules](super#rules-for-filters).
    fn judge(&self, event: &mut Self::Event) -> Verdict<Self::Order>;

    /// Hands over to the waiter what the event has for it, by writing it into its filter, which
    /// [`WaitQueue::wait_granted`](super::WaitQueue::wait_granted) returns.
    ///
    /// Is called once, right after [`judge`](Self::judge) has said that the waiter is to be woken,
    /// in the same place: under the head's lock with interrupts off. It must not sleep, and must
    /// not change how the filter compares with others in a [`Sorted`] queue.
    #[inline]
    fn grant(&mut self, event: &mut Self::Event) {
        let _ = event;
    }

    /// The condition as a number, which the tracepoints show; 0 unless the filter says otherwise.
    ///
    /// Is called when one of them is on, in the same place as [`judge`](Self::judge).
    #[inline]
    fn traced(&self) -> u64 {
        0
    }
}

/// What a [`Filter`] answers.
///
/// Only a queue that is kept in its filters' order can *stop*: `Verdict::STOP` exists for
/// [`Sorted`] and for no other order.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict<O> {
    pub(super) answer: Answer,
    _order: PhantomData<fn(O)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Wake,
    WakeExclusive,
    Skip,
    Stop,
}

impl<O> Verdict<O> {
    /// The waiter's condition is true: wake it and take it off the queue.
    pub const WAKE: Self = Self::new(Answer::Wake);

    /// The waiter's condition is true, and it uses up what the event had: wake it, take it off the
    /// queue, and end the walk (C's `WQ_FLAG_EXCLUSIVE`).
    ///
    /// Any order of the queue can say this, since it is said of the event: nothing is left of it
    /// that could satisfy a waiter further down.
    pub const WAKE_EXCLUSIVE: Self = Self::new(Answer::WakeExclusive);

    /// The waiter's condition is not true yet: let it sleep, and go on to the next waiter.
    pub const SKIP: Self = Self::new(Answer::Skip);

    /// [`WAKE`](Self::WAKE) if the condition is true, else [`SKIP`](Self::SKIP).
    #[inline]
    pub const fn wake_if(condition: bool) -> Self {
        if condition {
            Self::WAKE
        } else {
            Self::SKIP
        }
    }

    const fn new(answer: Answer) -> Self {
        Self {
            answer,
            _order: PhantomData,
        }
    }
}

impl Verdict<Sorted> {
    /// The condition is not true for this waiter, and so for none of those behind it, since they
    /// are sorted: end the walk.
    pub const STOP: Self = Self::new(Answer::Stop);

    /// [`WAKE`](Self::WAKE) if the condition is true, else [`STOP`](Self::STOP).
    #[inline]
    pub const fn wake_or_stop(condition: bool) -> Self {
        if condition {
            Self::WAKE
        } else {
            Self::STOP
        }
    }
}

mod private {
    pub trait Sealed {}

    impl Sealed for super::Fifo {}
    impl Sealed for super::Sorted {}
}

/// The order in which the waiters of a queue stand: [`Fifo`] or [`Sorted`].
///
/// # Examples
///
/// ```
/// use async_domain::wait::{Fifo, Order, Sorted};
///
/// assert!(Sorted::is_before(&1, &2));
/// assert!(!<Fifo as Order<u32>>::is_before(&1, &2));
/// ```
pub trait Order<F>: private::Sealed {
    /// Whether a new waiter goes before one that is already there.
    fn is_before(new: &F, old: &F) -> bool;
}

/// Waiters stand in the order in which they came. A wake-up walks all of them, or as many as it
/// takes to use the event up ([`Verdict::WAKE_EXCLUSIVE`]).
#[derive(Debug, PartialEq, Eq)]
pub struct Fifo(());

impl<F> Order<F> for Fifo {
    #[inline]
    fn is_before(_new: &F, _old: &F) -> bool {
        false
    }
}

/// Waiters stand in the order of their filters, equal ones in the order in which they came. A
/// wake-up may stop at the first waiter whose condition is not true.
///
/// A new waiter looks for its place from the end, so that waiters that come in order find it at
/// once.
#[derive(Debug, PartialEq, Eq)]
pub struct Sorted(());

impl<F: Ord> Order<F> for Sorted {
    #[inline]
    fn is_before(new: &F, old: &F) -> bool {
        new < old
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kernel::prelude::kunit_tests(async_domain_wait_filter)]
mod tests {
    use super::*;
    use crate::{
        kunit::Thread,
        wait::{
            WaitMode,
            WaitQueue, //
        },
    };
    use kernel::{
        prelude::*,
        sync::Arc, //
    };

    // The example of Documentation/filters.rst.

    #[derive(Clone, Copy)]
    struct LinkUp {
        min_mbps: u32,
        mbps: u32,
    }

    impl Filter for LinkUp {
        type Event = u32;
        type Order = Fifo;

        fn judge(&self, mbps: &mut u32) -> Verdict<Fifo> {
            Verdict::wake_if(*mbps >= self.min_mbps)
        }

        fn grant(&mut self, mbps: &mut u32) {
            self.mbps = *mbps;
        }
    }

    type Link = WaitQueue<u32, LinkUp>;

    fn wait_for(link: &Link, min_mbps: u32) -> Result<u32> {
        let mut now = 0;
        let granted = link.wait_granted(WaitMode::KILLABLE, |mbps| {
            now = **mbps;
            Ok((now < min_mbps).then_some(LinkUp { min_mbps, mbps: 0 }))
        })?;
        Ok(granted.map_or(now, |waiter| waiter.mbps))
    }

    fn link_is_up(link: &Link, mut mbps: u32) {
        link.with(|state| {
            **state = mbps;
            state.wake(&mut mbps);
        });
    }

    #[test]
    fn example_of_the_documentation() -> Result {
        let link = Arc::pin_init(crate::new_wait_queue!(0), GFP_KERNEL)?;
        let l = link.clone();
        let waiter = Thread::spawn(move || wait_for(&l, 1000))?;

        assert!(waiter.falls_asleep());
        link_is_up(&link, 100);
        assert_eq!(wait_for(&link, 100), Ok(100));
        link_is_up(&link, 2500);
        assert_eq!(waiter.join(), Ok(2500));
        Ok(())
    }

    #[test]
    fn only_sorted_queues_stop() {
        assert_eq!(Verdict::<Sorted>::wake_or_stop(true), Verdict::WAKE);
        assert_eq!(Verdict::wake_or_stop(false), Verdict::STOP);
        assert_eq!(Verdict::<Fifo>::wake_if(true), Verdict::WAKE);
        assert_eq!(Verdict::<Fifo>::wake_if(false), Verdict::SKIP);
        assert!(Sorted::is_before(&1, &2) && !Sorted::is_before(&2, &2));
        assert!(!<Fifo as Order<i32>>::is_before(&1, &2));
    }
}
