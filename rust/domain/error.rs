// SPDX-License-Identifier: GPL-2.0

//! A submission that failed.

use kernel::{
    fmt,
    prelude::*, //
};

/// A task that was not submitted, with the closure, which has neither been called nor dropped.
///
/// `?` turns it into an [`Error`] and drops the closure.
pub struct SubmitError<F> {
    /// Why:
    ///
    /// - `ENOMEM`: there is no memory for the task.
    /// - `EAGAIN`: the domain has as many unfinished tasks as it may have
    ///   ([`AsyncDomain::set_limit`](super::AsyncDomain::set_limit)); try again when some are done.
    /// - `ESHUTDOWN`: the domain has been closed, or the submitting module is being unloaded.
    pub error: Error,
    /// The closure.
    pub func: F,
}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<F> From<SubmitError<F>> for Error {
    fn from(e: SubmitError<F>) -> Self {
        e.error
    }
}
