// SPDX-License-Identifier: GPL-2.0

//! Filtered wait queues: every waiter carries the condition that it waits for, and the waker tests
//! it before it wakes.
//!
//! # Theory of operation
//!
//! An ordinary wake-up of an ordinary wait queue makes every waiter runnable. Where one queue
//! serves many waiters, nearly all of them find nothing to do and sleep again: the thundering herd.
//! The cure is as old as [filtered wakeups](https://lwn.net/Articles/83633/): `struct
//! wait_queue_entry` has a function pointer, `func`, which the waker calls for each entry, and which
//! decides whether its waiter runs.
//!
//! A [`WaitQueue<T, F>`] is a `struct wait_queue_head`, data of type `T` that the head's own lock
//! protects, and waiters that each carry a [`Filter`] `F`. A waker changes the data and wakes, under the
//! same lock, with an *event* that says what has come true. The wake function judges each waiter by
//! the event and the waiter's own filter, and calls `autoremove_wake_function()` only for those
//! whose condition holds:
//!
//! ```text
//!   waiter                                   waker
//!   ------                                   -----
//!   lock                                     lock
//!     check the data: not yet                  change the data
//!     link an entry with its filter            walk: filter.judge(event)?
//!     set_current_state()                        Skip: next      Stop: end of the walk
//!   unlock                                       Wake: autoremove_wake_function():
//!   schedule()            <----------------------      make it runnable, unlink it
//!   entry unlinked: the condition is true    unlock
//! ```
//!
//! **A wake-up is a grant.** An entry is unlinked by the waker exactly if its filter said *wake*, so
//! that a waiter that finds its entry unlinked is done: it does not look at the data again, and does
//! not take the lock again. No wake-up is spurious, unless
//! it does not come from the queue; those wake-ups are counted ([`Counts::spurious`]).
//!
//! **A grant may carry something.** What a waiter is woken for can be handed over with the wake-up:
//! [`Filter::grant`] writes it into the waiter's filter, under the lock, and
//! [`WaitQueue::wait_granted`] returns it. Nobody else can take it in between, so that a woken waiter
//! never finds taken what it was woken for. The entry is unlinked after the write, with release
//! semantics, and the waiter reads after it has seen that, with acquire semantics, or under the lock.
//!
//! **No wake-up is lost**, since the check, the linking and `set_current_state()` on one side, and
//! the change and the walk on the other, are each one critical section of the same lock: either the
//! waker comes first and the check sees the change, or the waiter comes first and the walk sees its
//! entry, with the state already set.
//!
//! # Rules for filters
//!
//! A filter runs under the head's lock with interrupts off, once for each entry that the walk
//! reaches. It must only compare, and hand over ([`Filter::grant`]) what the waker has brought. The
//! types forbid what they can: a filter is [`Copy`], so that it owns nothing and drops nothing, and
//! sees nothing but itself and the event. What they cannot forbid: a filter must not sleep or reach
//! the queue again (it would deadlock on the lock that it runs under; lockdep reports it).
//!
//! A filter ends the walk in two ways only. [`Verdict::STOP`] says that this waiter *and all behind
//! it* are not satisfied, which only a queue in the filters' order can know: it exists for
//! [`Sorted`]. [`Verdict::WAKE_EXCLUSIVE`] says that this waiter is satisfied and leaves nothing of
//! the event for others.
//!
//! The manual shows [how to write one](manual/filters.html), and what happens if it breaks a rule.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)

mod entry;
mod filter;
mod filters;
mod head;
mod inspect;
mod mode;
mod queued;
mod sleep;
mod waker;

pub use filter::{
    Fifo,
    Filter,
    Order,
    Sorted,
    Verdict, //
};
pub(crate) use filters::{
    AnyWakeup,
    AtLeast, //
};
pub use head::{
    Counts,
    Locked,
    WaitQueue, //
};
pub(crate) use inspect::Waiter;
pub use mode::WaitMode;
pub(crate) use sleep::assert_can_sleep;
pub(crate) use waker::Waiting;

/// Creates a [`WaitQueue`] initialiser with the given data, name and a newly-created lock class.
#[macro_export]
macro_rules! new_wait_queue {
    ($data:expr $(, $name:literal)? $(,)?) => {
        $crate::wait::WaitQueue::new(
            $data,
            $crate::__private::kernel::optional_name!($($name)?),
            $crate::__private::kernel::static_lock_class!(),
        )
    };
}
