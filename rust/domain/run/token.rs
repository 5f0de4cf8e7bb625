// SPDX-License-Identifier: GPL-2.0

//! Tokens whose place in the order is a task's header, in memory that the caller brings.

use crate::{
    domain::core::{
        domain::AsyncDomain,
        header::{
            Owned,
            Task, //
        },
        pending::flag, //
    },
    ffi, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::prelude::*;

impl Task {
    /// Puts a task into the order of a domain that is in flight, and not run.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it is in flight or queued already; as [`AsyncDomain::link`].
    ///
    /// # Safety
    ///
    /// `this` must be valid, in the caller's memory, and stay so until it has been finished.
    // Tested by: model future-dropped, model future-polled.
    pub(crate) unsafe fn begin(this: NonNull<Self>, domain: &AsyncDomain) -> Result {
        // SAFETY: The task is valid by the caller's promise. Who has claimed it may link it.
        unsafe {
            if !Self::claim(this) {
                return Err(EBUSY);
            }
            let node = &raw mut (*this.as_ptr()).node;

            Self::prepare(this, domain, ptr::null())
                .and_then(|()| {
                    // To cancellers, and to who retires, it is no task.
                    (*node).exchange(flag::TASK, flag::TOKEN);
                    domain
                        .link(node, |_| ())
                        .map(|_| ())
                        .inspect_err(|_| Self::unprepare(this))
                })
                .inspect_err(|_| Self::unclaim(this))
        }
    }

    /// Gives up what a token owns, and takes it out of the order of its domain then. Anybody who learns of that may begin
    /// or submit the item again.
    ///
    /// `put` gives the token's share in the item up and returns `true`, unless it is the last one. That one is dropped by
    /// `ops.discard`, outside of the domain's lock, which is taken once more for it. Without `put`, the share is the
    /// caller's. With `PREEMPT_RT`, where locks cannot sleep, a worker drops the share.
    ///
    /// # Safety
    ///
    /// `this` must be that of a token that is not used any more. `put` as for [`Self::discard_unless`].
    // Tested by: model done-item-token-shared, kunit a_token_drops_its_item_before_it_is_done.
    pub(crate) unsafe fn finish_token(
        this: NonNull<Self>,
        put: Option<unsafe fn(NonNull<Self>) -> bool>,
    ) {
        // SAFETY: The token is not used any more, so that the task is ours. An item in flight works for no scope.
        unsafe {
            #[cfg(CONFIG_PREEMPT_RT)]
            if put.is_some() && Self::defer_token(this) {
                return;
            }
            ffi::with_spin_locks(|| {
                Self::discard_unless(Owned::new(this), || put.is_none_or(|put| put(this)))
            });
        }
    }
}
