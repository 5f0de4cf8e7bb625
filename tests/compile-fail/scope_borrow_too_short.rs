// SPDX-License-Identifier: GPL-2.0

//! A task of a scope does not borrow what is gone before the scope is.

use async_domain::{
    AsyncDomain,
    Scope, //
};
use kernel::prelude::*;

fn nested<'scope>(scope: &'scope Scope<'scope, '_>, rows: KVec<u32>) -> Result {
    #[cfg(wicked)]
    // error[E0373]: closure may outlive the current function, but it borrows `rows`
    scope.schedule(|_| assert!(rows.len() > 0), GFP_KERNEL)?;
    #[cfg(not(wicked))]
    scope.schedule(move |_| assert!(rows.len() > 0), GFP_KERNEL)?;
    Ok(())
}

fn run(domain: &AsyncDomain) -> Result {
    domain.scope(|scope| nested(scope, KVec::new()))
}
