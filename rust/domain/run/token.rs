// SPDX-License-Identifier: GPL-2.0

//! Tokens whose place in the order is a task's header, in memory that the caller brings.

use crate::{
    domain::core::{
        domain::AsyncDomain,
        header::{
            Holds,
            Task, //
        },
        module_refs::ModuleRefs,
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

    /// Takes what is in flight out of the order of its domain. Anybody who learns of that may begin or submit it again.
    ///
    /// # Safety
    ///
    /// `this` must be that of a token that is not used any more, and valid during the call.
    // Tested by: model done-item-token.
    pub(crate) unsafe fn finish_token(this: NonNull<Self>) {
        // SAFETY: The token is not used any more, so that the task is ours until its claim is given up, and its node
        // is in the order of the domain. What somebody else claims next has nothing of it left.
        unsafe {
            let task = this.as_ptr();
            let domain = (*task).domain;
            let refs = match (*task).holds {
                Holds::Modules(kept) => Some(ModuleRefs::from_raw((*task).ops.module, kept)),
                Holds::Domain | Holds::Scope(..) => None,
            };

            ffi::with_spin_locks(|| {
                (*domain).finish_elsewhere(&raw mut (*task).node, || {
                    Self::unclaim(this);
                    drop(refs);
                });
            });
        }
    }
}
