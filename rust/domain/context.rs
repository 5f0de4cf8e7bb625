// SPDX-License-Identifier: GPL-2.0

//! What a task knows of itself.

use super::{
    registry,
    running::Run,
    AsyncDomain,
    Cookie, //
};
use crate::errno::ESHUTDOWN;
use kernel::prelude::*;

/// A running task, as its own function sees it.
///
/// It cannot leave the thread that runs the task, nor outlive the task's function.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, Context};
///
/// fn probe(port: u32, context: &Context<'_>) {
///     pr_info!("port {port} by task {}\n", context.cookie());
/// }
///
/// let domain = new_async_domain!("ports", GFP_KERNEL)?;
/// domain.schedule(|context| probe(0, context), GFP_KERNEL)?;
/// # Ok::<(), Error>(())
/// ```
pub struct Context<'a> {
    run: &'a Run,
}

impl<'a> Context<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        Self { run }
    }

    /// The task's own cookie.
    #[inline]
    pub fn cookie(&self) -> Cookie {
        self.run.cookie()
    }

    /// Calls `f` with the domain, unless the task has dropped it.
    // Tested by: kunit either_part_can_drop_the_domain.
    pub(super) fn with_domain<R>(&self, f: impl FnOnce(&AsyncDomain) -> R) -> Option<R> {
        if self.run.is_innermost() {
            // SAFETY: No scope is open inside of the task.
            return unsafe { self.run.domain() }.map(f);
        }
        // A task of a scope may drop the domain meanwhile, unless that is visited.
        //
        // SAFETY: The registry's lock is held where the domain is looked up. Then it is valid as long
        // as it is visited.
        let domain = registry::locked(|| unsafe { self.run.domain() }.inspect(|d| d.visit()))?;
        let ret = f(domain);

        registry::locked(|| domain.end_visit());
        Some(ret)
    }

    /// Whether the task has been cancelled while it ran
    /// ([`AsyncDomain::cancel`](super::AsyncDomain::cancel)). A task that takes long asks now and
    /// then, and returns early if so.
    #[inline]
    pub fn should_stop(&self) -> bool {
        self.run.should_stop()
    }

    /// Waits until all tasks of the domain that were submitted before this one are done: what the
    /// task does from then on happens in cookie order. This is the classic use of
    /// [`kernel/async.c`](srctree/kernel/async.c), `async_synchronize_cookie()` with one's own
    /// cookie.
    ///
    /// The task's worker sleeps in the meantime.
    ///
    /// # Errors
    ///
    /// - `EDEADLK`: the thread is also inside an earlier task of the domain, which called
    ///   [`schedule_or_run`](super::AsyncDomain::schedule_or_run); or the task belongs to a
    ///   [`Scope`](super::Scope) that an earlier task of the domain has opened, which waits for it.
    /// - `ESHUTDOWN`: the task itself has dropped the domain, so that nothing is left to wait for.
    pub fn synchronize(&self) -> Result {
        self.with_domain(|domain| domain.synchronize_cookie(self.cookie()))
            .unwrap_or(Err(ESHUTDOWN))
    }
}
