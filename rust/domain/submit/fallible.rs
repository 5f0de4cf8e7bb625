// SPDX-License-Identifier: GPL-2.0

//! Errors of tasks, of which the domain keeps the first.

use super::{
    closure::Work,
    error::SubmitError,
    target::Placed, //
};
use crate::domain::core::{
    context::TaskContext,
    cookie::Cookie,
    domain::AsyncDomain,
    trace, //
};
use core::ptr;
use kernel::{
    alloc::Flags,
    prelude::*, //
};

impl AsyncDomain {
    /// Runs a function asynchronously whose error the domain keeps.
    ///
    /// The domain keeps the error of the task with the lowest cookie; the other tasks go on.
    /// [`Self::synchronize_result`] gives it. An error that nobody has asked for by the time that the
    /// domain is dropped is reported in the kernel log.
    ///
    /// # Errors
    ///
    /// Gives the closure back, as [`Self::schedule`] does.
    ///
    /// # Context
    ///
    /// Any, with `flags` that fit it.
    #[inline]
    pub fn schedule_fallible<F>(&self, func: F, flags: Flags) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&TaskContext<'_>) -> Result + Send + 'static,
    {
        self.anywhere().schedule_fallible(func, flags)
    }

    /// Waits until the domain has no unfinished task, and returns the first error in cookie order
    /// of those that were [reported](TaskContext::report) since the last time.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::new_async_domain;
    ///
    /// let domain = new_async_domain!("probes", GFP_KERNEL)?;
    ///
    /// for i in 0..4 {
    ///     domain.schedule_fallible(
    ///         move |_| if i % 2 == 0 { Ok(()) } else { Err(EIO) },
    ///         GFP_KERNEL,
    ///     )?;
    /// }
    /// assert_eq!(domain.synchronize_result(), Err(EIO));
    /// assert_eq!(domain.synchronize_result(), Ok(()));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The error of a task; or `EDEADLK`, as [`Self::synchronize_full`], whereupon the errors of
    /// tasks are kept.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    pub fn synchronize_result(&self) -> Result {
        self.synchronize_full()?;
        self.take_error().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Takes the first error in cookie order of those that have been reported so far, and the cookie
    /// of its task. May be called in any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::new_async_domain;
    ///
    /// let domain = new_async_domain!("probes", GFP_KERNEL)?;
    /// domain.schedule(|context| context.report(EIO), GFP_KERNEL)?;
    /// domain.synchronize_full()?;
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

impl Placed<'_> {
    /// See [`AsyncDomain::schedule_fallible`].
    #[inline]
    // Tested by: kunit values_of_dropped_handles_are_dropped, compile-fail handle_value_borrows.
    pub fn schedule_fallible<F>(self, func: F, flags: Flags) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&TaskContext<'_>) -> Result + Send + 'static,
    {
        // SAFETY: The closure is `'static`.
        unsafe { self.submit_work(Fallible(func), flags, ptr::null()) }
            .map_err(|error| error.map(|Fallible(func)| func))
    }
}

/// A closure whose error is reported.
struct Fallible<F>(F);

impl<F: FnOnce(&TaskContext<'_>) -> Result + Send> Work for Fallible<F> {
    fn run(self, context: &TaskContext<'_>) {
        if let Err(error) = (self.0)(context) {
            context.report(error);
        }
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
