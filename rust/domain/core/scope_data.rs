// SPDX-License-Identifier: GPL-2.0

//! The unfinished tasks of a scope, and the frame that waits for them.

use super::{
    module_refs::RawRef,
    running::RunningTask, //
};
use crate::{
    ffi,
    lock_class,
    wait::{
        AnyWakeup,
        WaitMode,
        WaitQueue, //
    }, //
};
use kernel::prelude::*;

/// The unfinished tasks of a scope, and the frame that waits for them to finish.
pub(crate) struct ScopeData {
    tasks: WaitQueue<usize, AnyWakeup>,
    /// The module whose frame it is: it is running, so that tasks of its code need not hold it.
    module: *mut ffi::module,
    /// Whether the module that made the domain is held by the frame, or is the frame's.
    owner: Result,
    /// The thread whose frame it is.
    pub(crate) pid: c_int,
    /// The open scope: what its tasks are inside of.
    pub(crate) opener: *const RunningTask,
}

// SAFETY: The count is under the queue's lock; the module is compared, and not used; the others do not
// change. Whoever has a reference is in the frame, or a task which the frame waits for.
// Tested by: kunit tasks_submit_into_their_scope.
unsafe impl Sync for ScopeData {}

impl ScopeData {
    /// Initialises the data of a scope in place.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writing, and what it holds be treated as pinned from then on.
    // Tested by: make unload.
    pub(crate) unsafe fn init(
        this: *mut Self,
        module: *mut ffi::module,
        owner: Result,
        opener: *const RunningTask,
    ) {
        // SAFETY: By the caller's promise.
        unsafe {
            (&raw mut (*this).module).write(module);
            (&raw mut (*this).owner).write(owner);
            (&raw mut (*this).pid).write(ffi::current_pid());
            (&raw mut (*this).opener).write(opener);
            WaitQueue::init_raw(
                &raw mut (*this).tasks,
                0,
                lock_class::SCOPE.name(),
                lock_class::SCOPE.key(),
            );
        }
    }

    /// Takes the reference of a task on its submitter, unless the frame keeps that module.
    ///
    /// # Errors
    ///
    /// `ESHUTDOWN`: the module that made the domain, or the submitter, is being unloaded.
    ///
    /// # Safety
    ///
    /// `submitter` must be null or a valid module, which stays during the call.
    // Tested by: mutant domain-holds-no-owner, mutant owner-put-early.
    pub(crate) unsafe fn hold(&self, submitter: *mut ffi::module) -> Result<RawRef> {
        self.owner?;
        // SAFETY: The submitter is null or valid by the caller's promise.
        unsafe { RawRef::get(submitter, self.module) }
    }

    /// A task is about to be submitted into the scope.
    pub(crate) fn add_task(&self) {
        self.tasks.with(|tasks| **tasks += 1);
    }

    /// A task has finished, or was not submitted. The scope may be gone when this returns.
    pub(crate) fn remove_task(&self) {
        self.tasks.with(|tasks| {
            **tasks -= 1;
            if **tasks == 0 {
                tasks.wake(&mut ());
            }
        });
    }

    /// Waits until the last task has been removed.
    pub(crate) fn wait(&self, mode: WaitMode) -> Result {
        self.tasks
            .wait(mode, |tasks| Ok((**tasks > 0).then_some(AnyWakeup)))
    }

    /// Returns when the thread that removed the last task has given the lock back.
    pub(crate) fn wait_for_unlock(&self) {
        self.tasks.with(|_| ());
    }
}
