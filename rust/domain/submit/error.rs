// SPDX-License-Identifier: GPL-2.0

//! A submission that failed.

use kernel::{
    fmt,
    prelude::*, //
};

/// A task that was not submitted: what it was made of, which has neither been run nor dropped.
///
/// `?` turns it into an [`Error`] and drops the task.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, Submit, SubmitError};
///
/// let domain = new_async_domain!("ports", GFP_KERNEL)?;
/// match domain.schedule(GFP_KERNEL, |_| pr_info!("a port\n")) {
///     Ok(cookie) => pr_info!("task {cookie}\n"),
///     Err(SubmitError { error, task }) if error == EAGAIN => {
///         // Later: the closure is still there.
///         domain.synchronize(..)?;
///         domain.schedule(GFP_KERNEL, task)?;
///     }
///     Err(refused) => return Err(refused.error),
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct SubmitError<T> {
    /// Why:
    ///
    /// - `ENOMEM`: there is no memory for the task.
    /// - `EAGAIN`: the domain has as many unfinished tasks as it may have
    ///   ([`AsyncDomain::set_limit`](crate::AsyncDomain::set_limit)); try again when some are done. Or
    ///   more modules than can be counted have tasks while they are being loaded.
    /// - `EBUSY`: the item, which brings its own memory, is queued already.
    /// - `ESHUTDOWN`: the domain has been closed, or the submitting module is being unloaded.
    pub error: Error,
    /// The closure or closures, or the item.
    pub task: T,
}

impl<T> SubmitError<T> {
    /// Changes the task.
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> SubmitError<U> {
        SubmitError {
            error: self.error,
            task: f(self.task),
        }
    }
}

impl<T> fmt::Debug for SubmitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<T> From<SubmitError<T>> for Error {
    fn from(e: SubmitError<T>) -> Self {
        e.error
    }
}
