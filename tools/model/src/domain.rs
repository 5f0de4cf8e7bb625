// SPDX-License-Identifier: GPL-2.0

//! Stands for `rust/domain.rs`. `build.rs` has cut out what is not here and not in the files.

#[path = "../../../rust/domain/cancel.rs"]
mod cancel;
#[path = "../../../rust/domain/context.rs"]
mod context;
#[path = "../../../rust/domain/cookie.rs"]
mod cookie;
#[path = "../../../rust/domain/dispatch.rs"]
mod dispatch;
#[path = "../../../rust/domain/dispatcher.rs"]
pub mod dispatcher;
#[path = "../../../rust/domain/executor.rs"]
pub mod executor;
#[path = "../../../rust/domain/header_token.rs"]
mod header_token;
#[path = "../../../rust/domain/modules.rs"]
mod modules;
#[path = "../../../rust/domain/order.rs"]
mod order;
#[path = "../../../rust/domain/pending.rs"]
pub mod pending;
#[path = "../../../rust/domain/running.rs"]
mod running;
#[path = "../../../rust/domain/task.rs"]
pub mod task;
#[path = "../../../rust/domain/trace.rs"]
mod trace;

#[path = "scenarios/dispatcher.rs"]
pub mod dispatchers;
#[path = "scenarios/done.rs"]
pub mod done;
#[path = "scenarios/domain.rs"]
pub mod scenarios;
#[path = "scenarios/spawn.rs"]
pub mod spawned;

use crate::{
    errno::{
        EDEADLK,
        ESHUTDOWN, //
    },
    ffi,
    model::world,
    wait::{
        AtLeast,
        Locked,
        WaitMode,
        WaitQueue, //
    },
};
use cookie::AllBelow;
use kernel::{
    error::Result,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        LockClassKey, //
    },
};
use pending::Pending;
use running::Run;
use scope::Gathering;
use std::ptr::{
    self,
    NonNull, //
};
use task::Task;

pub use context::Context;
pub use cookie::Cookie;

include!(concat!(env!("OUT_DIR"), "/domain_items.rs"));

pub struct AsyncDomain {
    queue: WaitQueue<State, AllBelow>,
    waiter: dispatcher::Waiter,
    owner: Atomic<*mut ffi::module>,
}

pub struct Placed<'a> {
    domain: &'a AsyncDomain,
    node: c_int,
}

/// The registry, without its list.
mod registry {
    use super::{
        AsyncDomain,
        Cookie, //
    };
    use crate::ffi::irq_lock::{
        static_irq_lock,
        StaticIrqLock, //
    };

    static LOCK: StaticIrqLock<()> = static_irq_lock!(spin async_domain_registry_lock, ());

    unsafe fn unlink(_domain: &AsyncDomain) {}

    include!(concat!(env!("OUT_DIR"), "/registry_items.rs"));
}

/// No module is coming.
mod unload {
    use super::ffi;
    use kernel::prelude::*;

    pub fn expect(_module: *mut ffi::module) -> Result {
        unreachable!()
    }
}

/// Nobody loses patience.
mod overdue {
    use crate::wait::WaitMode;
    use kernel::prelude::*;

    pub fn wait(mut wait: impl FnMut(WaitMode) -> Result, _report: impl FnMut(u32)) -> Result {
        wait(WaitMode::UNINTERRUPTIBLE)
    }
    pub fn report(_domain: &super::AsyncDomain, _what: &str, _seconds: u32) {}
}

mod own {
    use kernel::prelude::*;

    pub struct OwnRef;

    impl OwnRef {
        pub fn new() -> Result<Self> {
            Ok(Self)
        }
        pub unsafe fn from_forgotten() -> Self {
            Self
        }
    }
}

/// Nobody looks on.
mod worker_id {
    pub struct WorkerId;

    impl WorkerId {
        pub const fn new() -> Self {
            Self
        }
        pub fn set(&self, _pid: i32) {}
        pub fn clear(&self) {}
        pub fn get(&self) -> Option<i32> {
            None
        }
    }
}

/// A class for each lock.
mod lock_class {
    use crate::kernel::sync::LockClassKey;
    use std::{
        ffi::CStr,
        pin::Pin, //
    };

    pub struct LockClass(&'static CStr);

    impl LockClass {
        pub fn name(&self) -> &'static CStr {
            self.0
        }
        pub fn key(&self) -> Pin<&'static LockClassKey> {
            LockClassKey::key()
        }
    }

    pub static SCOPE: LockClass = LockClass(c"scope");
}

/// Scopes, but for what their users see.
pub mod scope {
    use super::{
        lock_class,
        modules::{
            KeptRef,
            ModuleRefs, //
        },
        overdue,
        running::Run,
        AsyncDomain, //
    };
    use crate::{
        ffi,
        model::world,
        wait::{
            AnyWakeup,
            WaitMode,
            WaitQueue, //
        },
    };
    use kernel::prelude::*;
    use std::mem::MaybeUninit;

    include!(concat!(env!("OUT_DIR"), "/scope_items.rs"));

    impl Gathering {
        /// As [`Self::with`], with a frame whose end is seen.
        pub fn begin(domain: &AsyncDomain, f: impl FnOnce(&Self)) {
            let scope = world::allocate::<Self>("a scope");

            Run::enter_scope(|opener| {
                // SAFETY: The memory is ours, and stays.
                let gathering = unsafe {
                    Self::init(scope, std::ptr::null_mut(), Ok(()), opener);
                    &*scope
                };
                f(gathering);
                gathering.wait(domain);
            });
            world::frame_ends(crate::model::sched::current());
            world::memory_ends(scope.addr());
        }

        /// There is one more task.
        pub fn comes(&self) {
            self.enter();
        }
    }
}

impl AsyncDomain {
    /// Makes a domain that lives until [`Self::end`].
    pub fn begin() -> &'static Self {
        Self::begin_of(ptr::null_mut())
    }

    /// Makes a domain of a module.
    pub fn begin_of(owner: *mut ffi::module) -> &'static Self {
        let domain = world::allocate::<Self>("a domain");
        let state = State {
            pending: Pending::new(),
            dispatcher: dispatcher::NONE,
            unfinished: 0,
            shared: 0,
            limit: 8,
            submitted: 0,
            error: None,
            visitors: 0,
            closed: false,
        };

        // SAFETY: The memory is ours, and stays.
        unsafe {
            WaitQueue::init_raw(
                &raw mut (*domain).queue,
                state,
                c"model",
                LockClassKey::key(),
            );
            (&raw mut (*domain).waiter).write(dispatcher::Waiter::new());
            (&raw mut (*domain).owner).write(Atomic::new(owner));
            (*domain).owner();
            &*domain
        }
    }

    /// Drops the domain.
    pub fn end(&'static self) {
        // SAFETY: The scenario uses it no more; the memory stays.
        unsafe { ptr::drop_in_place(ptr::from_ref(self).cast_mut()) };
        world::frame_ends(crate::model::sched::current());
        world::memory_ends((self as *const Self).addr());
    }

    /// Waits, in a frame of its own.
    pub fn wait_for_all_below(&self, cookie: Cookie, mode: WaitMode) -> Result {
        let ret = self.wait_below(cookie, mode);
        world::frame_ends(crate::model::sched::current());
        ret
    }

    pub fn counts(&self) -> crate::wait::Counts {
        self.queue.with(|state| state.counts())
    }

    fn lockdep_drain(&self) {}

    fn name(&self) -> *const core::ffi::c_char {
        ptr::null()
    }

    fn take_error(&self) -> Option<(Cookie, Error)> {
        None
    }

    fn log_unseen_error(_cookie: Cookie, _error: Error) {}

    unsafe fn lockdep_task<R>(_this: *const Self, f: impl FnOnce() -> R) -> R {
        f()
    }
}
