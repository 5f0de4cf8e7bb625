// SPDX-License-Identifier: GPL-2.0

//! A domain does not leave its place, wherever its owner goes.

#[cfg(wicked)]
use async_domain::AsyncDomain;
use async_domain::OwnedDomain;

#[cfg(wicked)]
fn take(domain: OwnedDomain) -> AsyncDomain {
    // error[E0507]: cannot move out of dereference of `OwnedDomain`
    *domain
}

#[cfg(not(wicked))]
fn take(domain: OwnedDomain) -> OwnedDomain {
    domain
}
