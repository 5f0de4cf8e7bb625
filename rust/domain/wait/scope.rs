// SPDX-License-Identifier: GPL-2.0

//! The frame of a scope, which waits for the scope's tasks.

use super::overdue;
use crate::{
    domain::core::{
        domain::AsyncDomain,
        module_refs::ModuleRefs,
        running::RunningTask,
        scope_data::ScopeData, //
    },
    ffi, //
};
use core::mem::MaybeUninit;

/// Runs `f` with the data of a scope on the stack, and waits for the tasks of the scope.
// Tested by: mutant scope-does-not-wait, kunit tasks_borrow_from_the_caller.
pub(crate) fn with_scope<R>(
    domain: &AsyncDomain,
    module: *mut ffi::module,
    f: impl FnOnce(&ScopeData) -> R,
) -> R {
    let owner = ModuleRefs::get_other_owner(domain, module);
    let mut memory = MaybeUninit::<ScopeData>::uninit();

    let ret = RunningTask::enter_scope(|opener| {
        // SAFETY: The memory is valid for writing, and stays in place until this function returns,
        // which it does when nobody uses it any more.
        let scope = unsafe {
            ScopeData::init(
                memory.as_mut_ptr(),
                module,
                owner.as_ref().map(|_| ()).map_err(|e| *e),
                opener,
            );
            memory.assume_init_ref()
        };
        let ret = f(scope);

        wait(scope, domain);
        ret
    });

    drop(owner);
    ret
}

/// Waits until the tasks of a scope are done.
///
/// A thread that is itself inside a task holds a worker. So that many of them cannot hold all the
/// workers that their own tasks need, it first runs those that no worker has begun with.
pub(crate) fn wait(scope: &ScopeData, domain: &AsyncDomain) {
    while RunningTask::runs_any() && domain.help(scope) {}
    // It cannot fail: nothing but the condition ends it.
    let _ = overdue::wait(
        |mode| scope.wait(mode),
        |seconds| overdue::report(domain, "of which a scope ends", seconds),
    );
    scope.wait_for_unlock();
}
