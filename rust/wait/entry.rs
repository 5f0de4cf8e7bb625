// SPDX-License-Identifier: GPL-2.0

//! A waiter's entry in a queue: its wake function, which judges all filtered waits, and its events.
//!
//! An entry in a thread's frame wakes the thread. An entry of a future has the same filter, and calls a waker
//! instead: see `waker.rs`.

use super::filter::{
    Answer,
    Filter,
    Order, //
};
use crate::{
    ffi,
    trace::is_on, //
};
use core::ptr;
use kernel::{
    container_of,
    prelude::*, //
};

/// A `struct wait_queue_entry` and the condition of its waiter.
///
/// # Invariants
///
/// - While `wait` is linked, it is in a queue that holds entries of this very type only, which may be
///   the first field of something larger, the filter is touched under the queue's lock only, and the
///   entry stays where it is.
/// - `wait.private` is the thread that waits, or null, if the entry is the first field of a
///   [`WakerEntry`](super::waker::WakerEntry).
#[repr(C)]
pub(super) struct Entry<F> {
    wait: ffi::wait_queue_entry,
    filter: F,
}

/// What a waker hands to the wake function, through the `key` of the kernel's walk.
pub(super) struct Walk<'a, E> {
    /// What has come true.
    pub(super) event: &'a mut E,
    /// The queue, for its events.
    pub(super) queue: *mut ffi::wait_queue_head,
    /// How many waiters were woken so far.
    pub(super) woken: u64,
    /// How many waiters were judged and left asleep so far.
    pub(super) skipped: u64,
}

impl<'a, E> Walk<'a, E> {
    /// The walk that a wake function is called with.
    #[inline(always)]
    fn of(key: *mut c_void) -> *mut Self {
        key.cast()
    }
}

impl<F: Filter> Entry<F> {
    /// Makes an unlinked entry for the current thread. It must be put in its place before
    /// [`Self::link`].
    #[inline]
    pub(super) fn new(filter: F) -> Self {
        let mut this = Self::with_function::<Self>(filter);

        this.wait.private = ffi::current().cast();
        this
    }

    /// Makes an unlinked entry that is the first field of a `W`, which says what is done when its
    /// filter is satisfied.
    #[inline]
    pub(super) fn with_function<W: ffi::WakeFunction>(filter: F) -> Self {
        Self {
            wait: ffi::wait_queue_entry {
                flags: 0,
                private: ptr::null_mut(),
                func: Some(ffi::wake_function::<W>),
                entry: ffi::list_head {
                    next: ptr::null_mut(),
                    prev: ptr::null_mut(),
                },
            },
            filter,
        }
    }

    /// Links the entry in its filter's order: behind all that are not greater, found from the end.
    ///
    /// # Safety
    ///
    /// `this` must be valid, unlinked, and stay valid and in place until it is unlinked; `head` must hold entries
    /// of this type only, and its lock must be held.
    // Tested by: mutant unsorted-insertion, model wait-one.
    pub(super) unsafe fn link(this: *mut Self, head: *mut ffi::wait_queue_head) {
        // SAFETY: While the lock is held, the head and all entries in it are valid; they are of type `Self`. The
        // new entry is valid and the caller's alone.
        unsafe {
            let list = &raw mut (*head).head;
            let mut prev = (*list).prev;

            while prev != list && F::Order::is_before(&(*this).filter, Self::filter_of(prev)) {
                prev = (*prev).prev;
            }
            // INVARIANT: By the safety requirements.
            ffi::list_add(&raw mut (*this).wait.entry, prev);
        }
    }

    /// The filter of a linked entry.
    ///
    /// # Safety
    ///
    /// `list` must be the link of an entry of this type, whose queue's lock is held for the lifetime that the
    /// caller chooses.
    // Tested by: mutant unsorted-insertion, model wait-one.
    unsafe fn filter_of<'a>(list: *mut ffi::list_head) -> &'a F {
        // SAFETY: The entry is valid, and its filter does not change, while the lock is held.
        unsafe { &(*container_of!(list, Self, wait.entry)).filter }
    }

    /// Calls `f` for each linked entry, in their order; they are valid and stay as they are meanwhile.
    ///
    /// # Safety
    ///
    /// `head` must hold entries of this type only, and its lock must be held.
    // Tested by: kunit waiters_are_seen_in_order, test debugfs.
    pub(super) unsafe fn for_each(
        head: *const ffi::wait_queue_head,
        mut f: impl FnMut(*const Self),
    ) {
        // SAFETY: While the lock is held, the head and all entries in it are valid; they are of type `Self`.
        unsafe {
            let list = &raw const (*head).head;
            let mut next = (*list).next.cast_const();

            while next != list {
                f(container_of!(next, Self, wait.entry));
                next = (*next).next;
            }
        }
    }

    /// The link of an entry in its queue.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    // Tested by: mutant timeout-without-second-look, mutant future-poll-without-second-look.
    pub(super) unsafe fn list(this: *mut Self) -> *mut ffi::list_head {
        // SAFETY: The entry is valid; its field is only named.
        unsafe { &raw mut (*this).wait.entry }
    }

    /// The thread that waits, or null, and the filter.
    pub(super) fn parts(&self) -> (*mut c_void, &F) {
        (self.wait.private, &self.filter)
    }

    /// Judges a waiter. `Ok` says that its filter is satisfied: it is to be granted what it waits for, and
    /// woken. `Err` says that it is to be left alone. Either has what the wake function returns.
    ///
    /// # Safety
    ///
    /// `wait` must be that of a linked entry of this type, whose queue's lock is held; `key` must be
    /// what the queue's waker passes.
    #[inline(always)]
    // Tested by: mutant judge-one-off, mutant walk-does-not-stop.
    pub(super) unsafe fn judge(
        wait: *mut ffi::wait_queue_entry,
        key: *mut c_void,
    ) -> Result<c_int, c_int> {
        // SAFETY: `Locked::walk` is the only waker of a queue of these entries. It passes a `Walk` with this
        // filter's event, which only the walk uses. The lock is held, so that the entry is valid and
        // does not change.
        let (walk, entry) = unsafe { (&mut *Walk::<F::Event>::of(key), &*wait.cast::<Self>()) };

        let left_asleep = match entry.filter.judge(walk.event).answer {
            Answer::Wake => return Ok(1),
            // A negative value ends the walk, whether or not this waiter was woken.
            Answer::WakeExclusive => return Ok(-1),
            Answer::Skip => 0,
            Answer::Stop => -1,
        };

        walk.skipped = walk.skipped.wrapping_add(1);
        Err(wait_skip(walk.queue, entry, left_asleep))
    }

    /// Hands over to a waiter what it waits for.
    ///
    /// # Safety
    ///
    /// As for [`Self::judge`], which must have said so.
    #[inline]
    // Tested by: mutant judge-one-off, mutant walk-does-not-stop.
    pub(super) unsafe fn grant(wait: *mut ffi::wait_queue_entry, key: *mut c_void) {
        let this: *mut Self = wait.cast();
        // SAFETY: As in `judge`, and the lock is held, under which the waker alone touches the filter.
        let (walk, filter) = unsafe { (&mut *Walk::<F::Event>::of(key), &mut (*this).filter) };

        walk.woken = walk.woken.wrapping_add(1);
        // What this writes, the waiter sees: it looks after it has seen the entry unlinked, which
        // comes later, by `list_del_init_careful()`.
        filter.grant(walk.event);
        // SAFETY: The entry is still linked, and the lock held.
        wait_wake(walk.queue, unsafe { &*this });
    }

    /// Wakes the thread of an entry that is satisfied, and unlinks the entry. Returns `ret`.
    ///
    /// # Safety
    ///
    /// As for [`Self::grant`].
    #[inline(never)]
    // Tested by: mutant entry-left-linked, mutant entry-written-after-autoremove.
    unsafe fn wake_thread(
        wait: *mut ffi::wait_queue_entry,
        mode: c_uint,
        flags: c_int,
        key: *mut c_void,
        ret: c_int,
    ) -> c_int {
        // SAFETY: The filter of this linked entry is satisfied.
        unsafe { Self::grant(wait, key) };

        // From here on the waiter may run, find itself unlinked and return, whereupon its stack
        // frame, and the entry in it, are gone: neither is used again.
        //
        // SAFETY: The entry is linked and the head's lock is held.
        if unsafe { ffi::autoremove_wake_function(wait, mode, flags, ptr::null_mut()) } == 0 {
            // The thread was awake already: another wake-up, a signal or the end of its time has woken
            // it. It was not unlinked, so it cannot leave before it has had the lock, which
            // we hold: the entry is still there. Unlink it, for its condition is true; when it gets
            // the lock it will see that.
            //
            // SAFETY: As just argued, the entry is valid and linked.
            unsafe { ffi::list_del_init_careful(&raw mut (*wait).entry) };
        }
        ret
    }
}

// SAFETY: `wake` unlinks at most the entry that it was called for. It calls the filter, which by its contract
// neither sleeps nor takes the lock. If one does all the same, which is safe code, then it spins or sleeps for ever
// (on one CPU without debugging, `WaitQueue::with` panics), and the list stays as it is: nobody unlinks without the
// lock.
// Tested by: mutant judge-one-off, mutant walk-does-not-stop.
unsafe impl<F: Filter> ffi::WakeFunction for Entry<F> {
    /// Has no frame of its own, since it is called for many whose filters are not satisfied: what else is to
    /// be done is done in functions to which it jumps.
    #[inline(always)]
    // Tested by: mutant judge-one-off, mutant walk-does-not-stop.
    unsafe fn wake(
        wait: *mut ffi::wait_queue_entry,
        mode: c_uint,
        flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        // SAFETY: A linked entry with this function is an `Entry<F>`; the lock is held, and the key is
        // what this queue's waker passes.
        unsafe {
            match Self::judge(wait, key) {
                Ok(ret) => Self::wake_thread(wait, mode, flags, key, ret),
                Err(ret) => ret,
            }
        }
    }
}

/// Defines the function that records one of the events of a waiter, whose entry may be unlinked; see
/// [`crate::trace`].
// Tested by: test trace.
macro_rules! event {
    ($(#[$doc:meta])* $name:ident, $tracepoint:ident, $record:ident) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name<F: Filter>(queue: *mut ffi::wait_queue_head, entry: &Entry<F>) {
            if is_on!($tracepoint) {
                record(ffi::$record, queue, entry)
            }
        }
    };
}

event!(
    /// A waiter has been queued.
    wait_queue, __tracepoint_wait_queue, trace_wait_queue
);
event!(
    /// A waiter is about to be woken, since its condition has come true.
    wait_wake, __tracepoint_wait_wake, trace_wait_wake
);
event!(
    /// A waiter ran, and sleeps again.
    wait_spurious, __tracepoint_wait_spurious, trace_wait_spurious
);
event!(
    /// A waiter was unlinked, and not by a waker.
    wait_gone, __tracepoint_wait_gone, trace_wait_gone
);

/// A waiter was judged, and is left asleep. Returns `ret`, so that the wake function ends with a jump to
/// what records this: for a call it would save registers, for every waiter that it skips.
#[inline(always)]
fn wait_skip<F: Filter>(queue: *mut ffi::wait_queue_head, entry: &Entry<F>, ret: c_int) -> c_int {
    #[cold]
    #[inline(never)]
    fn record_skip<F: Filter>(
        queue: *mut ffi::wait_queue_head,
        entry: &Entry<F>,
        ret: c_int,
    ) -> c_int {
        record(ffi::trace_wait_skip, queue, entry);
        ret
    }

    if is_on!(__tracepoint_wait_skip) {
        return record_skip(queue, entry, ret);
    }
    ret
}

#[cold]
#[inline(never)]
// Tested by: test trace.
fn record<F: Filter>(
    record: unsafe extern "C" fn(*const c_void, *const ffi::wait_queue_entry, u64),
    queue: *mut ffi::wait_queue_head,
    entry: &Entry<F>,
) {
    // SAFETY: The entry is valid, and so is its thread, if it has one, since that waits. The event only prints the
    // address of the queue.
    unsafe { record(queue.cast(), &raw const entry.wait, entry.filter.traced()) }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_wait_grant)]
mod tests {
    use super::*;
    use crate::{
        kunit::{
            eventually,
            relax,
            Thread, //
        },
        wait::{
            Fifo,
            Verdict,
            WaitMode,
            WaitQueue, //
        },
    };
    use core::cmp::Ordering;
    use kernel::{
        sync::Arc,
        time::{
            delay::udelay,
            Delta, //
        },
    };

    /// Waits for so many coins, and gets them with the number of its turn.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Coins {
        needs: u64,
        has: u64,
        turn: u64,
    }

    /// What a waker brings.
    struct Purse {
        coins: u64,
        turn: u64,
    }

    impl Filter for Coins {
        type Event = Purse;
        type Order = Fifo;

        fn judge(&self, purse: &mut Purse) -> Verdict<Fifo> {
            match purse.coins.cmp(&self.needs) {
                Ordering::Less => Verdict::SKIP,
                Ordering::Equal => Verdict::WAKE_EXCLUSIVE,
                Ordering::Greater => Verdict::WAKE,
            }
        }

        fn grant(&mut self, purse: &mut Purse) {
            // Slow, so that a waiter that was woken too early would be seen to have nothing.
            udelay(Delta::from_micros(500));
            purse.coins -= self.needs;
            purse.turn += 1;
            self.has += self.needs;
            self.turn = purse.turn;
        }
    }

    type Queue = WaitQueue<Purse, Coins>;

    fn queue() -> Result<Arc<Queue>> {
        Arc::pin_init(
            crate::new_wait_queue!(Purse { coins: 0, turn: 0 }),
            GFP_KERNEL,
        )
    }

    fn waiter(queue: &Arc<Queue>, needs: u64) -> Result<Thread<Result<Option<Coins>>>> {
        let (q, waits) = (queue.clone(), queue.with(|purse| purse.counts().waits));
        let thread = Thread::spawn(move || {
            q.wait_granted(WaitMode::UNINTERRUPTIBLE.fallible(), |purse| {
                let has = purse.coins;
                Ok((has < needs).then_some(Coins {
                    needs,
                    has: 0,
                    turn: 0,
                }))
            })
        })?;

        if eventually(|| queue.with(|purse| purse.counts().waits > waits)) && thread.falls_asleep()
        {
            Ok(thread)
        } else {
            Err(EBUSY)
        }
    }

    #[test]
    fn waiter_gets_what_it_was_granted() -> Result {
        let queue = queue()?;
        let coins = |needs, turn| {
            Ok(Some(Coins {
                needs,
                has: needs,
                turn,
            }))
        };
        let (seven, two) = (waiter(&queue, 7)?, waiter(&queue, 2)?);
        let (three, one) = (waiter(&queue, 3)?, waiter(&queue, 1)?);

        // The data as the event: five, of which the first needs more, and two and three take all.
        // The walk ends there.
        let (woken, left, skipped) = queue.with(|purse| {
            purse.coins = 5;
            let woken = purse.wake_by_data();
            (woken, purse.coins, purse.counts().skipped)
        });
        assert_eq!((woken, left, skipped), (2, 0, 1));
        assert_eq!(two.join(), coins(2, 1));
        assert_eq!(three.join(), coins(3, 2));

        // An event of its own, which leaves the data alone.
        let mut event = Purse {
            coins: 10,
            turn: 100,
        };
        assert_eq!(queue.with(|purse| purse.wake(&mut event)), 2);
        assert_eq!((event.coins, queue.with(|purse| purse.coins)), (2, 0));
        assert_eq!(seven.join(), coins(7, 101));
        assert_eq!(one.join(), coins(1, 102));
        Ok(())
    }

    #[test]
    fn nothing_to_wait_for_grants_nothing() -> Result {
        let queue = queue()?;
        let no_time = WaitMode::UNINTERRUPTIBLE.timeout(Delta::ZERO);
        let coins = Coins {
            needs: 1,
            has: 0,
            turn: 0,
        };

        assert_eq!(queue.wait_granted(no_time, |_| Ok(None)), Ok(None));
        assert_eq!(
            queue.wait_granted(no_time, |_| Ok(Some(coins))),
            Err(ETIMEDOUT)
        );
        assert_eq!(queue.wait_granted(no_time, |_| Err(EIO)), Err(EIO));
        Ok(())
    }

    #[test]
    fn waiter_that_is_awake_is_granted_once() -> Result {
        // Somebody wakes the waiter all the time, so that grants find it awake.
        for turn in 0..20 {
            let queue = queue()?;
            let waiter = waiter(&queue, 1)?;
            let q = queue.clone();
            let granter =
                Thread::spawn(move || q.with(|purse| purse.wake(&mut Purse { coins: 5, turn })))?;

            while queue.with(|purse| purse.counts().wakeups) == 0 {
                waiter.wake_up();
                relax();
            }
            assert_eq!(granter.join(), 1);
            let coins = Coins {
                needs: 1,
                has: 1,
                turn: turn + 1,
            };
            assert_eq!(waiter.join(), Ok(Some(coins)));
        }
        Ok(())
    }
}
