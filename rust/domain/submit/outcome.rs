// SPDX-License-Identifier: GPL-2.0

//! What functions return: nothing, or a result, of whose errors the domain keeps the first.

use crate::domain::core::{
    context::TaskContext,
    cookie::Cookie,
    domain::AsyncDomain,
    trace, //
};
use kernel::prelude::*;

/// What a function that runs asynchronously returns: nothing, or a [`Result`].
///
/// The domain keeps the error of the task with the lowest cookie; the other tasks go on.
/// [`AsyncDomain::synchronize_result`] gives it. An error that nobody has asked for by the time that the
/// domain is dropped is reported in the kernel log.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, AsyncDomain, Outcome, Submit, TaskContext};
///
/// /// For probe functions that may fail, and for others.
/// fn probe<O: Outcome + 'static>(disks: &AsyncDomain, func: fn(&TaskContext<'_>) -> O) -> Result {
///     disks.schedule(GFP_KERNEL, func)?;
///     Ok(())
/// }
///
/// let disks = new_async_domain!("disks", GFP_KERNEL)?;
/// probe(&disks, |_| pr_info!("a disk\n"))?;
/// probe(&disks, |_| Err::<(), _>(EIO))?;
/// assert_eq!(disks.synchronize_result(), Err(EIO));
/// # Ok::<(), Error>(())
/// ```
pub trait Outcome: sealed::Sealed {
    /// Reports an error, if it is one.
    #[doc(hidden)]
    fn report(self, context: &TaskContext<'_>);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for kernel::error::Result {}
}

impl Outcome for () {
    #[inline]
    fn report(self, _context: &TaskContext<'_>) {}
}

impl Outcome for Result {
    #[inline]
    fn report(self, context: &TaskContext<'_>) {
        if let Err(error) = self {
            context.report(error);
        }
    }
}

impl AsyncDomain {
    /// Waits until the domain has no unfinished task, and returns the first error in cookie order
    /// of those that were [reported](TaskContext::report) since the last time.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Submit};
    ///
    /// let domain = new_async_domain!("probes", GFP_KERNEL)?;
    ///
    /// for i in 0..4 {
    ///     domain.schedule(GFP_KERNEL, move |_| if i % 2 == 0 { Ok(()) } else { Err(EIO) })?;
    /// }
    /// assert_eq!(domain.synchronize_result(), Err(EIO));
    /// assert_eq!(domain.synchronize_result(), Ok(()));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The error of a task; or `EDEADLK`, as [`Self::synchronize`], whereupon the errors of
    /// tasks are kept.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    pub fn synchronize_result(&self) -> Result {
        self.synchronize(..)?;
        self.take_error().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Takes the first error in cookie order of those that have been reported so far, and the cookie
    /// of its task. May be called in any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Submit};
    ///
    /// let domain = new_async_domain!("probes", GFP_KERNEL)?;
    /// domain.schedule(GFP_KERNEL, |context| context.report(EIO))?;
    /// domain.synchronize(..)?;
    ///
    /// if let Some((cookie, error)) = domain.take_error() {
    ///     pr_info!("task {cookie} has failed: {error:?}\n");
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn take_error(&self) -> Option<(Cookie, Error)> {
        self.queue.with(|state| state.error.take())
    }

    /// An error is not lost silently when its domain is.
    pub(crate) fn log_unseen_error(cookie: Cookie, error: Error) {
        #[cfg(ASYNC_DOMAIN_KUNIT)]
        crate::kunit::UNSEEN_ERRORS.add(1, kernel::sync::atomic::ordering::Relaxed);
        pr_warn!("task {cookie} has failed, and nobody has asked: {error:?}\n");
    }
}

impl TaskContext<'_> {
    /// Reports an error to the domain, which keeps the first one in cookie order; see
    /// [`AsyncDomain::synchronize_result`].
    pub fn report(&self, error: Error) {
        let cookie = self.cookie();
        let reported = self.with_domain(|domain| {
            trace::task_error(domain, cookie, error);
            domain.queue.with(|state| {
                let first = state.error.is_none_or(|(earlier, _)| cookie < earlier);
                if first {
                    state.error = Some((cookie, error));
                }
            });
        });

        if reported.is_none() {
            AsyncDomain::log_unseen_error(cookie, error);
        }
    }
}
