// SPDX-License-Identifier: GPL-2.0

//! Stands for `rust/domain.rs`. What is in the directory of the same name are links to its rooms.

mod core;
mod run;

mod life {
    mod drop;
}

mod wait {
    pub mod scope;
    pub mod synchronize;

    /// No wait is long.
    pub mod overdue {
        use crate::{
            domain::AsyncDomain,
            wait::WaitMode, //
        };
        use kernel::prelude::*;

        pub fn wait(mut wait: impl FnMut(WaitMode) -> Result, _report: impl FnMut(u32)) -> Result {
            wait(WaitMode::UNINTERRUPTIBLE.fallible())
        }
        pub fn report(_domain: &AsyncDomain, _what: &str, _seconds: u32) {}
    }
}

pub use self::core::{
    context::TaskContext,
    cookie::Cookie,
    domain::AsyncDomain, //
};
pub(crate) use self::core::{
    dispatcher,
    future_header,
    header,
    pending,
    running::RunningTask,
    scope_data::ScopeData, //
};
pub use self::run::cancel::Cancelled;

#[path = "scenarios/dispatcher.rs"]
pub mod dispatchers;
#[path = "scenarios/done.rs"]
pub mod done;
#[path = "scenarios/domain.rs"]
pub mod scenarios;
#[path = "scenarios/spawn.rs"]
pub mod spawned;

use crate::{
    ffi,
    model::{
        sched,
        world, //
    },
    wait::{
        Counts,
        WaitMode, //
    },
};
use kernel::{
    prelude::*,
    sync::LockClassKey, //
};
use std::ptr;

impl AsyncDomain {
    /// Makes a domain that lives until [`Self::end`].
    pub fn begin() -> &'static Self {
        Self::begin_of(ptr::null_mut())
    }

    /// Makes a domain of a module. It is not in the registry.
    pub fn begin_of(owner: *mut ffi::module) -> &'static Self {
        let domain = world::allocate::<Self>("a domain");
        let keys = [LockClassKey::key(), LockClassKey::key()];

        // SAFETY: The memory is ours, and stays.
        unsafe {
            Self::init_raw(domain, c"model", keys, false, owner);
            (*domain).owner();
            &*domain
        }
    }

    /// Drops the domain.
    pub fn end(&'static self) {
        // SAFETY: The scenario uses it no more; the memory stays.
        unsafe { ptr::drop_in_place(ptr::from_ref(self).cast_mut()) };
        world::frame_ends(sched::current());
        world::memory_ends((self as *const Self).addr());
    }

    /// Waits, in a frame of its own.
    pub fn wait_for_all_below(&self, cookie: Cookie, mode: WaitMode) -> Result {
        let ret = self.wait_below(cookie, mode);
        world::frame_ends(sched::current());
        ret
    }

    pub fn counts(&self) -> Counts {
        self.queue.with(|state| state.counts())
    }

    /// No task reports an error.
    fn take_error(&self) -> Option<(Cookie, Error)> {
        None
    }

    fn log_unseen_error(_cookie: Cookie, _error: Error) {}
}

impl ScopeData {
    /// As `with_scope()`, with a frame whose end is seen.
    pub fn begin(domain: &AsyncDomain, f: impl FnOnce(&Self)) {
        let scope = world::allocate::<Self>("a scope");

        RunningTask::enter_scope(|opener| {
            // SAFETY: The memory is ours, and stays.
            let data = unsafe {
                Self::init(scope, ptr::null_mut(), Ok(()), opener);
                &*scope
            };
            f(data);
            wait::scope::wait(data, domain);
        });
        world::frame_ends(sched::current());
        world::memory_ends(scope.addr());
    }
}
