// SPDX-License-Identifier: GPL-2.0

//! Waits by threshold: for a count to be reached, and for so many completions.
//!
//! - [`EventCounter`] counts events; each waiter waits for a value of its own.
//! - [`CompletionRing`] keeps events until a consumer takes them; each consumer waits for at least
//!   `min_nr` of them and takes up to `nr`.
//!
//! Both may be fed in any context, hard interrupts included.
//!
//! # Every waiter by its own threshold
//!
//! The kernel learned in 2006 that a waker must not judge a queue by the waiter at its head: a waiter
//! for two events slept on behind one for three while two events were there. So each waiter here
//! carries its own threshold in its entry, and the waker judges each, as `io_getevents()` does since
//! ([`fs/aio.c`](srctree/fs/aio.c)). Two things are better here:
//!
//! - **Events are handed over, not announced.** `io_getevents()` and `io_uring_enter()` wake a waiter
//!   that then looks for the events, which another thread may have taken. Here the waker moves the
//!   events into the waiter's own buffer before it wakes it ([`Filter::grant`]), under the lock, and
//!   a waiter that runs has what it was woken for. This also means that a waiter that is slow to run
//!   does not hold a place in the ring.
//! - **No useless walk.** The ring knows a lower bound of what any of its waiters still
//!   needs, so that an event that satisfies nobody costs no walk.
//!
//! The manual says [when to use which](manual/interface.html#waits-by-threshold).
//!
//! [`Filter::grant`]: crate::wait::Filter::grant

mod buffer;
mod counter;
mod ring;
mod take;

pub use counter::EventCounter;
pub use ring::CompletionRing;

/// Creates an [`EventCounter`] initialiser with the given name and a newly-created lock class.
#[macro_export]
macro_rules! new_event_counter {
    ($($name:literal)? $(,)?) => {
        $crate::threshold::EventCounter::new(
            $crate::__private::kernel::optional_name!($($name)?),
            $crate::__private::kernel::static_lock_class!(),
        )
    };
}

/// Creates a [`CompletionRing`] initialiser for the given number of events, with the given
/// allocation flags and name and a newly-created lock class.
#[macro_export]
macro_rules! new_completion_ring {
    ($capacity:expr, $flags:expr $(, $name:literal)? $(,)?) => {
        $crate::threshold::CompletionRing::new(
            $capacity,
            $flags,
            $crate::__private::kernel::optional_name!($($name)?),
            $crate::__private::kernel::static_lock_class!(),
        )
    };
}
