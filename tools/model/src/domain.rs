// SPDX-License-Identifier: GPL-2.0

//! Stands for `rust/domain.rs`. `build.rs` has cut out what is not here and not in the files.

#[path = "../../../rust/domain/cancel.rs"]
mod cancel;
#[path = "../../../rust/domain/context.rs"]
mod context;
#[path = "../../../rust/domain/cookie.rs"]
mod cookie;
#[path = "../../../rust/domain/executor.rs"]
pub mod executor;
#[path = "../../../rust/domain/order.rs"]
mod order;
#[path = "../../../rust/domain/pending.rs"]
pub mod pending;
#[path = "../../../rust/domain/running.rs"]
mod running;
#[path = "../../../rust/domain/task.rs"]
pub mod task;

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
        Locked,
        WaitMode,
        WaitQueue, //
    },
};
use cookie::AllBelow;
use kernel::{
    error::Result,
    prelude::*,
    sync::LockClassKey, //
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
}

pub struct Placed<'a> {
    domain: &'a AsyncDomain,
    node: c_int,
}

/// References on modules: that a module stays is not what is modelled.
mod modules {
    use super::AsyncDomain;
    use crate::ffi;
    use kernel::prelude::*;

    #[derive(Clone, Copy)]
    pub struct KeptRefs;
    pub struct ModuleRefs;

    impl KeptRefs {
        pub const NONE: Self = Self;
    }

    impl ModuleRefs {
        pub fn none() -> Self {
            Self
        }
        pub unsafe fn get(_module: *mut ffi::module, _domain: &AsyncDomain) -> Result<Self> {
            Ok(Self)
        }
        pub fn into_kept(self) -> KeptRefs {
            KeptRefs
        }
        pub unsafe fn from_kept(_module: *mut ffi::module, _kept: KeptRefs) -> Self {
            Self
        }
    }
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

/// No scenario has a scope.
mod scope {
    pub enum Gathering {}

    impl Gathering {
        pub fn leave(&self) {}
    }
}

impl AsyncDomain {
    /// Makes a domain that lives until [`Self::end`].
    pub fn begin() -> &'static Self {
        let domain = world::allocate::<Self>("a domain");
        let state = State {
            pending: Pending::new(),
            unfinished: 0,
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
            &*domain
        }
    }

    /// What `drop` does, outside of the domain's own tasks.
    pub fn end(&self) {
        self.close();
        self.wait_unused();
        world::frame_ends(crate::model::sched::current());
        world::memory_ends((self as *const Self).addr());
    }

    pub fn anywhere(&self) -> Placed<'_> {
        Placed {
            domain: self,
            node: ffi::NUMA_NO_NODE,
        }
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

    unsafe fn lockdep_task<R>(_this: *const Self, f: impl FnOnce() -> R) -> R {
        f()
    }
}
