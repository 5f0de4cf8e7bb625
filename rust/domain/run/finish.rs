// SPDX-License-Identifier: GPL-2.0

//! What is left to be done when a task has finished outside of a worker: others retire.

use crate::{
    domain::core::{
        domain::AsyncDomain,
        header::{
            Retirement,
            Task, //
        },
        order::{
            unlink,
            Next, //
        },
        pending::Node, //
    },
    ffi,
    queue, //
};
use core::ptr::NonNull;

/// What is left to be done for a task by who has run it.
pub(crate) struct Followup {
    pub(crate) next: Next,
    /// The memory of the task, if it has finished and its memory is not the caller's.
    pub(crate) memory: *mut Task,
}

impl Followup {
    /// Does what is left, and has others retire.
    ///
    /// # Safety
    ///
    /// It must belong to the caller, for whom nothing was begun.
    // Tested by: mutant own-memory-freed-before-retiring, model dispatcher-ordered.
    pub(crate) unsafe fn defer(self) {
        // SAFETY: By the caller's promise.
        unsafe {
            ffi::kfree(self.memory.cast());
            if let Next::Retire(next) = self.next {
                Task::retire_elsewhere(next);
            }
        }
    }
}

impl AsyncDomain {
    /// Like [`Self::finish`], in a context in which nothing can be retired: leaves that to a worker.
    ///
    /// # Safety
    ///
    /// As above.
    #[inline]
    // Tested by: mutant finish-takes-lock-twice, mutant ready-looked-before-set.
    pub(crate) unsafe fn finish_elsewhere(&self, node: *mut Node, settle: impl FnOnce()) {
        // SAFETY: By the caller's promise. The task that is to be retired belongs to us, and was
        // left by its worker when it became ready.
        unsafe {
            if let Some(task) = self.queue.with(|state| unlink(state, node, self, settle)) {
                Task::retire_elsewhere(task);
            }
        }
    }
}

impl Task {
    /// Has the task retired by a worker of its own.
    ///
    /// # Safety
    ///
    /// The task must be in the order of its domain, and have been given to the caller to be retired.
    #[cold]
    #[inline(never)]
    // Tested by: model domain-ordered-behind-token, kunit mixed_with_tokens_and_plain_tasks.
    pub(crate) unsafe fn retire_elsewhere(this: NonNull<Self>) {
        // SAFETY: The work item is not queued: a task is given away to be retired once. It is valid until the
        // task has retired.
        unsafe {
            let work = Self::work(this);

            ffi::init_work::<Retirement>(work);
            queue::enqueue_retirement(work);
        }
    }

    /// Has a worker finish the token of an item, where locks cannot sleep; says whether it has.
    ///
    /// # Safety
    ///
    /// The task must be in the order of its domain, with a token that is not used any more.
    #[cfg(CONFIG_PREEMPT_RT)]
    // Tested by: model domain-ordered-behind-token, kunit mixed_with_tokens_and_plain_tasks.
    pub(crate) unsafe fn defer_token(this: NonNull<Self>) -> bool {
        // SAFETY: The work item is not queued: the token is finished once, and an item has no in-order part. It is
        // valid until the item is dropped.
        unsafe { queue::defer::<crate::domain::core::header::DeferredToken>(Self::work(this)) }
    }
}
