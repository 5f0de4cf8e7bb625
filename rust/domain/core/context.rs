// SPDX-License-Identifier: GPL-2.0

//! What a task knows of itself.

use super::{
    cookie::Cookie,
    domain::AsyncDomain,
    registry::{
        self,
        Pinned, //
    },
    running::RunningTask, //
};

/// A running task, as its own function sees it.
///
/// It cannot leave the thread that runs the task, nor outlive the task's function.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, Submit, TaskContext};
///
/// fn probe(port: u32, context: &TaskContext<'_>) {
///     pr_info!("port {port} by task {}\n", context.cookie());
/// }
///
/// let domain = new_async_domain!("ports", GFP_KERNEL)?;
/// domain.schedule(GFP_KERNEL, |context| probe(0, context))?;
/// # Ok::<(), Error>(())
/// ```
pub struct TaskContext<'a> {
    run: &'a RunningTask,
}

impl<'a> TaskContext<'a> {
    pub(crate) fn new(run: &'a RunningTask) -> Self {
        Self { run }
    }

    /// The task's own cookie.
    #[inline]
    pub fn cookie(&self) -> Cookie {
        self.run.cookie()
    }

    /// Calls `f` with the domain, unless the task has dropped it.
    // Tested by: kunit either_part_can_drop_the_domain.
    pub(crate) fn with_domain<R>(&self, f: impl FnOnce(&AsyncDomain) -> R) -> Option<R> {
        if self.run.is_innermost() {
            // SAFETY: No scope is open inside of the task.
            return unsafe { self.run.domain() }.map(f);
        }
        // A task of a scope may drop the domain meanwhile, unless that is pinned.
        let domain =
            registry::locked(|registry| self.run.registered_domain(registry).map(Pinned::new))?;
        let ret = f(&domain);

        registry::locked(|registry| domain.unpin(registry));
        Some(ret)
    }

    /// Whether the task has been cancelled while it ran
    /// ([`AsyncDomain::cancel`](crate::AsyncDomain::cancel)). A task that takes long asks now and
    /// then, and returns early if so.
    #[inline]
    pub fn should_stop(&self) -> bool {
        self.run.should_stop()
    }
}
