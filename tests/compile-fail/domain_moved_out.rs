// SPDX-License-Identifier: GPL-2.0

//! A domain does not leave its place.

use async_domain::AsyncDomain;
use kernel::prelude::*;

#[cfg(wicked)]
fn take(domain: Pin<KBox<AsyncDomain>>) -> AsyncDomain {
    // error[E0277]: cannot be unpinned
    *Pin::into_inner(domain)
}

#[cfg(not(wicked))]
fn take(domain: Pin<KBox<AsyncDomain>>) -> Pin<KBox<AsyncDomain>> {
    domain
}
