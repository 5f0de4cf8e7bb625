// SPDX-License-Identifier: GPL-2.0

//! One waiter in a queue, and the wake function: the one trampoline of all filtered waits.

use super::filter::{
    Answer,
    Filter,
    Order, //
};
use crate::ffi;
use core::ptr;
use kernel::{
    container_of,
    prelude::*, //
};

/// A `struct wait_queue_entry` and the condition of its waiter.
///
/// # Invariants
///
/// While `wait` is linked, it is in a queue that holds entries of this very type only, the filter
/// is touched under the queue's lock only, and the entry stays where it is.
#[repr(C)]
pub(super) struct Entry<F> {
    wait: ffi::wait_queue_entry,
    filter: F,
}

/// What a waker hands to the wake function, through the `key` of the kernel's walk.
pub(super) struct Walk<'a, E> {
    /// What has come true.
    pub(super) event: &'a mut E,
    /// How many waiters were woken so far.
    pub(super) woken: u64,
    /// How many waiters were judged and left asleep so far.
    pub(super) skipped: u64,
}

impl<F: Filter> Entry<F> {
    /// Makes an unlinked entry for the current thread. It must be put in its place before
    /// [`Self::link`].
    #[inline]
    pub(super) fn new(filter: F) -> Self {
        Self {
            wait: ffi::wait_queue_entry {
                flags: 0,
                // SAFETY: It may always be called; the current thread outlives its own stack frame.
                private: unsafe { ffi::get_current() }.cast(),
                func: Some(ffi::wake_function::<Self>),
                entry: ffi::list_head {
                    next: ptr::null_mut(),
                    prev: ptr::null_mut(),
                },
            },
            filter,
        }
    }

    /// The part of the entry that the kernel knows.
    #[inline]
    pub(super) fn wait(this: *mut Self) -> *mut ffi::wait_queue_entry {
        this.cast()
    }

    /// The filter, with what the waker granted.
    ///
    /// # Safety
    ///
    /// `this` must be valid and unlinked, and the caller must have seen it unlinked by
    /// `list_empty_careful()` or under the head's lock, so that it also sees what was granted.
    #[inline]
    pub(super) unsafe fn filter(this: *mut Self) -> F {
        // SAFETY: The entry is valid; an unlinked one is touched by its own thread only.
        unsafe { (*this).filter }
    }

    /// Links the entry in its filter's order: behind all that are not greater, found from the end.
    ///
    /// # Safety
    ///
    /// `this` must be valid, unlinked, and stay valid and in place until it is unlinked; `head`
    /// must hold entries of this type only, and its lock must be held.
    pub(super) unsafe fn link(this: *mut Self, head: *mut ffi::wait_queue_head) {
        // SAFETY: The head is valid, and so are all entries in it, while its lock is held; they
        // are of type `Self` by the caller's promise. The new entry is valid and ours alone.
        unsafe {
            let list = &raw mut (*head).head;
            let mut place = (*list).prev;

            while place != list {
                let other = container_of!(place, Self, wait.entry);
                if !F::Order::is_before(&(*this).filter, &(*other).filter) {
                    break;
                }
                place = (*place).prev;
            }
            // INVARIANT: The caller promised all of it.
            ffi::list_add(&raw mut (*this).wait.entry, place);
        }
    }
}

// SAFETY: `wake` calls the filter, which by its contract neither sleeps nor takes the lock, and
// unlinks at most the entry that it was called for.
unsafe impl<F: Filter> ffi::WakeFunction for Entry<F> {
    unsafe fn wake(
        wait: *mut ffi::wait_queue_entry,
        mode: c_uint,
        flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        let entry = wait.cast::<Self>();
        // SAFETY: `WaitQueue::walk` is the only waker of a queue of these entries. It passes a
        // `Walk` with this filter's event, which is borrowed by nobody else during the walk.
        let walk = unsafe { &mut *key.cast::<Walk<'_, F::Event>>() };
        // SAFETY: By the type invariant a linked entry with this function is an `Entry<F>`, whose
        // first field `wait` is. It is valid while the head's lock is held, and nobody else touches
        // its filter.
        let filter = unsafe { &mut (*entry).filter };

        let verdict = match filter.judge(walk.event).answer {
            Answer::Skip => {
                walk.skipped += 1;
                return 0;
            }
            Answer::Stop => {
                walk.skipped += 1;
                return -1;
            }
            Answer::Wake => 1,
            // A negative value ends the walk, whether or not this waiter was woken.
            Answer::WakeExclusive => -1,
        };

        walk.woken += 1;
        // What this writes, the waiter sees: it looks after it has seen the entry unlinked, which
        // comes later, by `list_del_init_careful()`.
        filter.grant(walk.event);

        // From here on the waiter may run, find itself unlinked and return, whereupon its stack
        // frame, and the entry in it, are gone: neither is used again.
        //
        // SAFETY: The entry is linked and the head's lock is held.
        if unsafe { ffi::autoremove_wake_function(wait, mode, flags, ptr::null_mut()) } == 0 {
            // The thread was awake already: somebody else had woken it, or a signal or the end of
            // its time. It was not unlinked, so it cannot leave before it has had the lock, which
            // we hold: the entry is still there. Unlink it, for its condition is true; when it gets
            // the lock it will see that.
            //
            // SAFETY: As just argued, the entry is valid and linked.
            unsafe { ffi::list_del_init_careful(&raw mut (*wait).entry) };
        }
        verdict
    }
}
