// SPDX-License-Identifier: GPL-2.0

//! Waits by key: few wait queues that are shared by many resources.
//!
//! A wait queue for each page, block or request would cost memory that is hardly ever used: at any
//! time, few of them are waited for. So the kernel hashes the resource's address into a table of
//! queues that all share (`wait_var_event()`, `wait_on_bit()`, and the folio locks of
//! [`mm/filemap.c`](srctree/mm/filemap.c)); and since [filtered
//! wakeups](https://lwn.net/Articles/83633/) a wake-up names the resource, so that of all waiters of
//! the queue only those for that resource run.
//!
//! A [`WaitTable<K>`] is such a table for any key type: an integer, an [`Address`], a tuple of them,
//! or whatever is small, [`Copy`], [`Eq`] and [`Hash`]. There is one that all can share,
//! [`shared()`], whose keys are addresses.
//!
//! # A wake-up is a grant
//!
//! The kernel's waiters are woken to look again, and sleep again if another thread was faster: waiters for
//! the same bit compete for it, with each other and with newcomers. Here the condition is
//! checked, and changed, under the lock of the key's queue, by closures that are given to
//! [`wait_event`](WaitTable::wait_event) and [`wake_up`](WaitTable::wake_up); and the wake-up itself
//! is the answer. A waiter that was woken does not look again. So
//!
//! - a waker must only wake for what is true: a woken waiter takes it for granted;
//! - an **exclusive** waiter ([`wait_event_exclusive`](WaitTable::wait_event_exclusive)) that is
//!   woken has been handed what it waited for. There is no moment in which it is free for others to
//!   take, and exclusive waiters are served in the order in which they came;
//! - no wake-up is lost: there is no memory barrier to forget between the change and the wake-up, or
//!   between the check and the sleep, as there is with `wake_up_bit()` and `wake_up_var()`.
//!
//! What the closures share, usually a state word in the resource itself, is the user's own. It needs
//! no ordering stronger than relaxed as long as it is touched by such closures only, since the lock
//! orders them. `samples/block_lock.rs` shows how a lock of four bytes per block is built with a
//! fast path outside of the lock.
//!
//! The manual says [when to use it](manual/interface.html#waits-by-key).
//!
//! Source: [`kernel/sched/wait_bit.c`](srctree/kernel/sched/wait_bit.c)

mod key;
mod shared;
mod table;
#[cfg(ASYNC_DOMAIN_KUNIT)]
mod testing;
mod waiter;

pub use key::{
    Address,
    Key, //
};
pub use shared::shared;
pub(crate) use shared::SharedTable;
pub use table::WaitTable;
pub use waiter::{
    Bucket,
    Woken, //
};

/// Makes a [`WaitTable`] of the given number of queues, with the given allocation flags and name and
/// a newly-created lock class.
#[macro_export]
macro_rules! new_wait_table {
    ($buckets:expr, $flags:expr $(, $name:literal)? $(,)?) => {
        $crate::keyed::WaitTable::new(
            $buckets,
            $flags,
            $crate::__private::kernel::optional_name!($($name)?),
            $crate::__private::kernel::static_lock_class!(),
        )
    };
}
