// SPDX-License-Identifier: GPL-2.0

//! The queue: `struct wait_queue_head` with data under its lock and waiters with filters.

use super::{
    entry::Walk,
    Filter, //
};
use crate::ffi::{
    self,
    irq_lock::{
        Guard,
        HasLock,
        IrqLock,
        SpinLock, //
    },
};
use core::{
    marker::{
        PhantomData,
        PhantomPinned, //
    },
    ops::{
        Deref,
        DerefMut, //
    },
};
use kernel::{
    prelude::*,
    sync::LockClassKey,
    types::Opaque, //
};

/// What has happened on a [`WaitQueue`] since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waits that went to sleep.
    pub waits: u64,
    /// Waiters that a waker found satisfied and woke.
    pub wakeups: u64,
    /// Waiters that a walk reached and left asleep.
    pub skipped: u64,
    /// Waiters that ran, found their condition not true, and slept again. Wakers of this queue
    /// cause none; another wake-up of the thread does.
    pub spurious: u64,
}

/// A `struct wait_queue_head`, whose list is touched under its lock only.
pub(super) struct Head(Opaque<ffi::wait_queue_head>);

impl Head {
    #[inline(always)]
    pub(super) fn get(&self) -> *mut ffi::wait_queue_head {
        self.0.get()
    }
}

// SAFETY: The lock is a field of the head, which `WaitQueue::init_raw` initialises before the queue is shared.
// Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
unsafe impl HasLock for Head {
    type Lock = SpinLock;

    #[inline(always)]
    // Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
    fn as_ptr(&self) -> *mut SpinLock {
        // CAST: A spinlock is one, whatever the type is called.
        //
        // SAFETY: The field is only named.
        unsafe { (&raw mut (*self.0.get()).lock).cast() }
    }
}

/// What the lock of a queue protects.
struct Protected<T> {
    counts: Counts,
    data: T,
}

/// A queue of waiters that each carry their condition, and data that its lock protects.
///
/// The lock is the one of the `struct wait_queue_head`, taken with interrupts off.
///
/// # Examples
///
/// A counter, and waiters that each wait for it to reach a value of their own:
///
/// ```
/// use async_domain::{
///     new_wait_queue,
///     wait::{Filter, Sorted, Verdict, WaitQueue},
///     WaitMode,
/// };
///
/// #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
/// struct AtLeast(u64);
///
/// impl Filter for AtLeast {
///     type Event = u64;
///     type Order = Sorted;
///
///     fn judge(&self, count: &mut u64) -> Verdict<Sorted> {
///         Verdict::wake_or_stop(*count >= self.0)
///     }
/// }
///
/// fn wait_for(queue: &WaitQueue<u64, AtLeast>, value: u64) -> Result {
///     queue.wait(WaitMode::KILLABLE, |count| {
///         Ok((**count < value).then_some(AtLeast(value)))
///     })
/// }
///
/// fn increment(queue: &WaitQueue<u64, AtLeast>) {
///     queue.with(|count| {
///         **count += 1;
///         let mut event = **count;
///         count.wake(&mut event);
///     });
/// }
///
/// let queue = KBox::pin_init(new_wait_queue!(0), GFP_KERNEL)?;
/// increment(&queue);
/// wait_for(&queue, 1)?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// Every entry that is linked in the head is an `Entry<F>`.
pub struct WaitQueue<T, F: Filter> {
    lock: IrqLock<Head, Protected<T>>,
    // Invariant: what a waiter gives to its filter, a waker may see, and the other way round.
    _filter: PhantomData<fn(F) -> F>,
    _pin: PhantomPinned,
}

// SAFETY: The queue owns its data, and no entry is linked while it is moved to another thread, but
// for what leaked futures have left behind: an entry is only linked while its waiter borrows the queue.
// Which thread is the queue's does not matter to an entry.
// Tested by: compile-fail queue_data_not_send, compile-fail filter_not_send.
unsafe impl<T: Send, F: Filter> Send for WaitQueue<T, F> {}
// SAFETY: The data and the counts are only touched under the lock; filters are read by other
// threads' wakers, and `Filter` requires `Sync`.
// Tested by: compile-fail queue_data_not_send, compile-fail filter_not_send.
unsafe impl<T: Send, F: Filter> Sync for WaitQueue<T, F> {}

impl<T, F: Filter> WaitQueue<T, F> {
    /// Makes a queue with no waiters; [`new_wait_queue!`](crate::new_wait_queue) calls this.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::wait::{Fifo, Filter, Verdict, WaitQueue};
    /// use kernel::static_lock_class;
    ///
    /// #[derive(Clone, Copy)]
    /// struct Opened;
    ///
    /// impl Filter for Opened {
    ///     type Event = ();
    ///     type Order = Fifo;
    ///
    ///     fn judge(&self, _event: &mut ()) -> Verdict<Fifo> {
    ///         Verdict::WAKE
    ///     }
    /// }
    ///
    /// let gate = KBox::pin_init(
    ///     WaitQueue::<bool, Opened>::new(false, c"gate", static_lock_class!()),
    ///     GFP_KERNEL,
    /// )?;
    /// assert!(!gate.with(|open| **open));
    /// # Ok::<(), Error>(())
    /// ```
    // Tested by: nothing: compile-fail domain_not_pinned.
    pub fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        let init = move |slot: *mut Self| {
            // SAFETY: `slot` is valid for writing, and pinned from now on, since this is a pinned
            // initialiser.
            unsafe { Self::init_raw(slot, data, name, key) };
            Ok(())
        };

        // SAFETY: `init_raw` initialises all fields, and does not fail.
        unsafe { pin_init::pin_init_from_closure(init) }
    }

    /// Initialises a queue in place.
    ///
    /// # Safety
    ///
    /// `slot` must be valid for writing, and what it holds must be treated as pinned from then on.
    // Tested by: nothing: compile-fail domain_not_pinned.
    pub(crate) unsafe fn init_raw(
        slot: *mut Self,
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) {
        let protected = Protected {
            counts: Counts::default(),
            data,
        };

        // SAFETY: `slot` is valid for writing. The markers have no content.
        unsafe {
            (&raw mut (*slot).lock).write(IrqLock::new(Head(Opaque::uninit()), protected));
            // INVARIANT: The queue is empty.
            let head = (*slot).head();
            ffi::__init_waitqueue_head(head, name.as_char_ptr(), key.as_ptr());
        }
    }

    /// Gives the lock another class, that of this place in the source, whose name and key need not be in the
    /// module that made the queue. Other threads may be using the queue.
    ///
    /// What takes the lock concurrently may still use the old class until it has given the lock back: that
    /// class must not be freed before an RCU grace period has passed.
    // Tested by: mutant disowned-keeps-classes, kunit a_disowned_domain_has_nothing_of_its_maker.
    pub(crate) fn reclass(&self, name: &'static CStr, key: Pin<&'static LockClassKey>) {
        // SAFETY: The head was initialised with the queue; name and key are static.
        unsafe {
            ffi::wait_queue_reclass(self.head(), name.as_char_ptr(), key.as_ptr());
        }
    }

    /// What stands for the queue in its events: an address, which is not to be followed.
    #[inline]
    pub(crate) fn id(&self) -> *const c_void {
        self.head().cast()
    }

    /// The part of the queue that the kernel knows.
    #[inline(always)]
    pub(super) fn head(&self) -> *mut ffi::wait_queue_head {
        self.lock.place().get()
    }

    /// Runs `f` with the data, under the lock, with interrupts off.
    ///
    /// May be called in any context, hard interrupts included (not those of `PREEMPT_RT`, where the
    /// lock sleeps). `f` must not sleep, and must not reach the queue by another way than its
    /// argument: the lock is not recursive.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut Locked<'_, T, F>) -> R) -> R {
        self.lock.with(|guard| {
            f(&mut Locked {
                guard,
                _filter: PhantomData,
            })
        })
    }
}

/// The data of a [`WaitQueue`] while its lock is held, and the means to wake its waiters.
///
/// # Examples
///
/// ```
/// use async_domain::{
///     new_wait_queue,
///     wait::{Counts, Fifo, Filter, Locked, Verdict, WaitQueue},
/// };
///
/// /// Waits until nothing is left.
/// #[derive(Clone, Copy)]
/// struct Empty;
///
/// impl Filter for Empty {
///     type Event = u32;
///     type Order = Fifo;
///
///     fn judge(&self, left: &mut u32) -> Verdict<Fifo> {
///         Verdict::wake_if(*left == 0)
///     }
/// }
///
/// fn one_less(left: &mut Locked<'_, u32, Empty>) {
///     **left -= 1;
///     // The data is the event.
///     left.wake_by_data();
/// }
///
/// let queue = KBox::pin_init(new_wait_queue!(2), GFP_KERNEL)?;
/// let queue: &WaitQueue<u32, Empty> = &queue;
/// queue.with(one_less);
///
/// let counts: Counts = queue.with(|left| left.counts());
/// assert!(!queue.with(|left| left.has_waiters()) && counts.wakeups == 0);
/// # Ok::<(), Error>(())
/// ```
pub struct Locked<'a, T, F: Filter> {
    guard: Guard<'a, Head, Protected<T>>,
    _filter: PhantomData<fn(F) -> F>,
}

impl<T, F: Filter> Locked<'_, T, F> {
    /// Wakes every waiter whose filter the event satisfies, in the queue's order; returns their
    /// number.
    #[inline]
    pub fn wake(&mut self, event: &mut F::Event) -> u64 {
        self.walk(|_| event)
    }

    /// As [`wake`](Self::wake), with the queue's data as the event: filters judge by the data, and
    /// take out of it what they grant.
    #[inline]
    pub fn wake_by_data(&mut self) -> u64
    where
        F: Filter<Event = T>,
    {
        self.walk(|data| data)
    }

    /// The part of the queue that the kernel knows.
    #[inline(always)]
    pub(super) fn head(&self) -> *mut ffi::wait_queue_head {
        self.guard.place().get()
    }

    /// Whether anybody waits.
    #[inline]
    // Tested by: mutant spurious-not-counted, kunit wakeups_race_with_grants.
    pub fn has_waiters(&self) -> bool {
        let head = self.head();

        // SAFETY: The head is valid, and its list is only changed under the lock, which is held.
        unsafe { (*head).head.next != &raw mut (*head).head }
    }

    #[inline]
    // Tested by: mutant spurious-not-counted, kunit wakeups_race_with_grants.
    fn walk<'e>(&'e mut self, event: impl FnOnce(&'e mut T) -> &'e mut F::Event) -> u64 {
        let queue = self.head();

        if !self.has_waiters() {
            return 0;
        }

        let Protected { counts, data } = &mut *self.guard;
        let mut walk = Walk {
            event: event(data),
            queue,
            woken: 0,
            skipped: 0,
        };
        // SAFETY: The lock is held. By the type invariant all entries are of type `Entry<F>`, whose
        // wake function expects this `Walk` as the key.
        unsafe { ffi::__wake_up_locked_key(queue, ffi::TASK_NORMAL, (&raw mut walk).cast()) };

        let Walk { woken, skipped, .. } = walk;
        counts.wakeups = counts.wakeups.wrapping_add(woken);
        counts.skipped = counts.skipped.wrapping_add(skipped);
        woken
    }

    /// What has happened on this queue so far.
    #[inline]
    pub fn counts(&self) -> Counts {
        self.guard.counts
    }

    #[inline]
    pub(super) fn counts_mut(&mut self) -> &mut Counts {
        &mut self.guard.counts
    }
}

impl<T, F: Filter> Deref for Locked<'_, T, F> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard.data
    }
}

impl<T, F: Filter> DerefMut for Locked<'_, T, F> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard.data
    }
}
