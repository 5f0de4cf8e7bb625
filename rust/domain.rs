// SPDX-License-Identifier: GPL-2.0

//! Async domains: functions that run in parallel, and whose visible effects happen in order.
//!
//! # Theory of operation
//!
//! A domain gives each task that is submitted to it a *sequence cookie*. Cookies only increase, and
//! a domain keeps its unfinished tasks in a list, so that the first of the list has the lowest
//! cookie in progress: the *frontier*. All tasks below the frontier are done.
//!
//! Who waits for a cookie waits for the frontier to reach it. The waiter's cookie is in its wait
//! entry, waiters are sorted by it, and when the frontier moves, the waker walks from the lowest
//! waiter up to the first one that is above the frontier, and wakes those that it passes. A task
//! that finishes without moving the frontier walks nobody; nobody is woken to find that it must
//! sleep again.
//!
//! ```text
//!   pending   [17] [18] [19] [20]          waiters   [18] [19] [20]
//!              ^ frontier = 17
//!   18 ends:  nothing moves, nobody is walked
//!   17 ends:  frontier = 19                wakes 18 and 19, stops at 20
//! ```
//!
//! The lock of the wait queue's own head protects the list as well, so that to submit a task takes
//! one lock, to finish it one, and to wait one. Domains share nothing but the counter that cookies
//! come from.
//!
//! Tasks begin in cookie order too, on whatever NUMA nodes. A domain has one item on the workqueue at a time,
//! which stands for all queued tasks; `domain/run/dispatch.rs` says how they are shared out, and why tasks that
//! wait for earlier ones cannot exhaust what those need.
//!
//! What a task does to be seen, it does after [`TaskContext::synchronize`], which waits for all tasks
//! with lower cookies: the parallel parts overlap, the visible parts happen in cookie order.
//!
//! # Context
//!
//! What may be called *in any context* may be called with interrupts off and in hard interrupts. With
//! `PREEMPT_RT`, where a wait queue's lock sleeps, it may be called where a sleeping lock may be taken,
//! but a [`Token`] or [`ItemToken`] may be finished anywhere: a worker does what cannot be done there.
//!
//! # Lockdep
//!
//! A task runs as if it held a lock of its domain, which draining the domain takes, so that lockdep
//! sees a drain under a lock that a task takes. The lock's class is that of the place in the source
//! where the domain is made: a task that drains another domain which was made in the same place looks
//! like one that drains its own. Make domains that wait for each other in different places.
//!
//! The manual has the [life of a task](manual/design.html#life-of-a-task), [when to use
//! what](manual/interface.html), [scenarios](manual/scenarios.html), and [what is seen by
//! whom](manual/memory-ordering.html).
//!
//! Source: [`kernel/async.c`](srctree/kernel/async.c),
//! [`include/linux/async.h`](srctree/include/linux/async.h)

mod core;
#[cfg_attr(not(CONFIG_DEBUG_FS), allow(dead_code))]
mod debug;
mod life;
mod run;
mod submit;
mod wait;

pub(crate) use self::core::running::Death;
#[cfg(CONFIG_DEBUG_FS)]
pub(crate) use debug::files::DebugFs;
pub(crate) use life::{
    binding::Devices,
    unload::{
        LastSteps,
        OwnerGone, //
    },
};

pub use self::core::{
    context::TaskContext,
    cookie::{
        Cookie,
        CookieRange, //
    },
    domain::{
        AsyncDomain,
        Stats,
        DEFAULT_LIMIT, //
    },
};
pub use life::{
    device::DeviceDomain,
    owned::OwnedDomain,
    static_domain::StaticDomain, //
};
pub use run::cancel::Cancelled;
pub use submit::{
    error::SubmitError,
    handle::{
        Handle,
        JoinAsync, //
    },
    item::{
        HasTask,
        TaskHeader,
        TaskItem,
        TaskPointer, //
    },
    item_token::ItemToken,
    outcome::Outcome,
    schedule::Submit,
    scope::Scope,
    target::OnNode,
    token::Token, //
};
pub use wait::{
    all::synchronize_all,
    future::SynchronizeAsync, //
};
