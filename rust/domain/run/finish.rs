// SPDX-License-Identifier: GPL-2.0

//! What is left to be done when a task has finished outside of a worker: others retire.

use crate::{
    domain::core::{
        domain::AsyncDomain,
        header::{
            Ops,
            Owned,
            Retirement,
            Task,
            ToRetire, //
        },
        order::{
            unlink,
            Next, //
        },
        pending::{
            Node,
            NodeRef, //
        }, //
    },
    ffi,
    queue, //
};
use core::ptr::{
    self,
    NonNull, //
};

/// What is left to be done for a task by who has run it.
#[must_use]
pub(crate) struct Followup {
    pub(crate) next: Next,
    /// The memory of the task, if it has finished.
    pub(crate) memory: Memory,
}

impl Followup {
    /// Does what is left, for whom nothing was begun, and has others retire.
    pub(crate) fn defer(self) {
        self.memory.free();
        if let Next::Retire(next) = self.next {
            Task::retire_elsewhere(next);
        }
    }
}

/// The memory of a task that has finished, or none.
///
/// # Invariants
///
/// It is null, or an allocation that nobody else uses.
#[must_use]
pub(crate) struct Memory(*mut Task);

impl Memory {
    pub(crate) const NONE: Self = Self(ptr::null_mut());

    /// The memory of a task, unless it is the caller's.
    ///
    /// # Safety
    ///
    /// The task must have finished, and belong to the caller.
    // Tested by: mutant own-memory-freed-before-retiring, model dispatcher-ordered.
    #[inline]
    pub(crate) unsafe fn of(task: NonNull<Task>, ops: &Ops) -> Self {
        // INVARIANT: Other memory than the caller's is an allocation that a task is the start of.
        if ops.callers_memory {
            Self::NONE
        } else {
            Self(task.as_ptr())
        }
    }

    /// Frees it.
    #[inline]
    // Tested by: mutant own-memory-freed-before-retiring, model dispatcher-ordered.
    pub(crate) fn free(self) {
        // SAFETY: It is null, or an allocation of ours.
        unsafe { ffi::kfree(self.0.cast()) };
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
        let next = self.queue.with(|state| {
            // SAFETY: The node is in the order, whose lock is held.
            unsafe { unlink(state, NodeRef::new(node), self, settle) }
        });
        if let Some(task) = next {
            Task::retire_elsewhere(task);
        }
    }
}

impl Task {
    /// Has the task retired by a worker of its own.
    #[cold]
    #[inline(never)]
    // Tested by: model domain-ordered-behind-token, kunit mixed_with_tokens_and_plain_tasks.
    pub(crate) fn retire_elsewhere(task: Owned<ToRetire>) {
        let task = task.into_task();

        // SAFETY: The work item is not queued: a task is given away to be retired once. It is valid until the
        // task has retired. The work function takes the task over.
        unsafe {
            queue::enqueue_retirement(ffi::init_work::<Retirement>(&task));
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
        unsafe { queue::defer::<crate::domain::core::header::DeferredToken>(this.as_ref()) }
    }
}
