// SPDX-License-Identifier: GPL-2.0

//! A task of a scope does not borrow what is gone before the scope is.

use async_domain::{
    AsyncDomain,
    Scope, //
    Submit,
};
use kernel::prelude::*;

fn nested<'scope>(scope: &'scope Scope<'scope, '_>, rows: KVec<u32>) -> Result {
    #[cfg(wicked)]
    // error[E0373]: closure may outlive the current function, but it borrows `rows`
    scope.schedule(GFP_KERNEL, |_| assert!(rows.len() > 0))?;
    #[cfg(not(wicked))]
    scope.schedule(GFP_KERNEL, move |_| assert!(rows.len() > 0))?;
    Ok(())
}

fn run(domain: &AsyncDomain) -> Result {
    domain.scope(|scope| nested(scope, KVec::new()))
}
