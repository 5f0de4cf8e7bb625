// SPDX-License-Identifier: GPL-2.0

//! Sequence cookies, and the filter of waits for the frontier.

use crate::wait::AtLeast;
use core::ops::{
    RangeFull,
    RangeTo,
    RangeToInclusive, //
};
use kernel::{
    fmt,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    }, //
};

/// The place of a task in the order (C's `async_cookie_t`).
///
/// Cookies are 64 bits wide, never 0, and strictly increasing over all domains: of two tasks, the
/// one that was submitted first has the lower cookie.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, Cookie};
///
/// let domain = new_async_domain!("commands", GFP_KERNEL)?;
/// let token = domain.begin(GFP_KERNEL)?;
/// let cookie: Cookie = token.cookie();
///
/// pr_info!("command {cookie}, in hexadecimal {:#x}\n", cookie.as_u64());
/// assert!(cookie < cookie.next() && cookie.next() <= Cookie::now());
/// # Ok::<(), Error>(())
/// ```
///
/// Source: `next_cookie` in [`kernel/async.c`](srctree/kernel/async.c)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Cookie(u64);

/// The cookie that the next task gets. 2^64 of them last for centuries at one each nanosecond.
static NEXT: Atomic<u64> = Atomic::new(1);

impl Cookie {
    /// The frontier of a domain that has no task in progress, but is pinned by
    /// [`synchronize_all`](crate::synchronize_all).
    pub(crate) const IDLE: Self = Self(u64::MAX - 1);

    /// The frontier of a domain that nobody uses.
    pub(crate) const UNUSED: Self = Self(u64::MAX);

    /// Takes the next cookie.
    ///
    /// Called with the lock of the domain held whose list it goes to: the order in which one domain
    /// takes its cookies is the order in which it links its tasks.
    #[inline]
    pub(crate) fn take() -> Self {
        // Relaxed: the increment of one variable is ordered by itself.
        Self(NEXT.fetch_add(1, Relaxed))
    }

    /// Returns a cookie above those of all tasks that were submitted before the call, to any
    /// domain.
    ///
    /// `domain.synchronize(..Cookie::now())` waits for all that the domain has been given so
    /// far, and not for what it is given in the meantime.
    #[inline]
    pub fn now() -> Self {
        Self(NEXT.load(Relaxed))
    }

    /// Returns the smallest cookie that is greater than this one.
    ///
    /// To wait for tasks *below* a cookie's successor is to wait for the cookie's own task too.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The cookie as a number, for messages.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<Cookie> for u64 {
    #[inline]
    fn from(cookie: Cookie) -> Self {
        cookie.0
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Waits until the *frontier*, the lowest cookie in progress, is this one or a higher one.
pub(crate) type AllBelow = AtLeast<Cookie>;

/// The tasks to wait for, as a range of cookies: `..` for all, `..cookie` for those below a cookie, and
/// `..=cookie` for that one too.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, AsyncDomain, CookieRange, Submit, WaitMode};
///
/// fn quiesce(disks: &AsyncDomain, tasks: impl CookieRange) -> Result {
///     disks.synchronize_with(WaitMode::KILLABLE, tasks)
/// }
///
/// let disks = new_async_domain!("disks", GFP_KERNEL)?;
/// let first = disks.schedule(GFP_KERNEL, |_| pr_info!("the first\n"))?;
/// quiesce(&disks, ..=first)?;
/// quiesce(&disks, ..)?;
/// # Ok::<(), Error>(())
/// ```
pub trait CookieRange: sealed::Sealed {
    /// The cookie below which all are; `None` for all that there are.
    #[doc(hidden)]
    fn end(&self) -> Option<Cookie>;
}

impl CookieRange for RangeFull {
    #[inline]
    fn end(&self) -> Option<Cookie> {
        None
    }
}

impl CookieRange for RangeTo<Cookie> {
    #[inline]
    fn end(&self) -> Option<Cookie> {
        Some(self.end)
    }
}

impl CookieRange for RangeToInclusive<Cookie> {
    #[inline]
    fn end(&self) -> Option<Cookie> {
        Some(self.end.next())
    }
}

mod sealed {
    use super::*;

    pub trait Sealed {}
    impl Sealed for RangeFull {}
    impl Sealed for RangeTo<Cookie> {}
    impl Sealed for RangeToInclusive<Cookie> {}
}
