// SPDX-License-Identifier: GPL-2.0

//! Nor can a scope be left in a variable outside of it.

use async_domain::{
    AsyncDomain,
    Scope, //
    Submit,
};
use kernel::prelude::*;

fn keep(domain: &AsyncDomain) -> Result {
    let mut kept: Option<&Scope<'_, '_>> = None;

    domain.scope(|scope| {
        #[cfg(wicked)]
        let place = &mut kept;
        #[cfg(not(wicked))]
        let mut place = None;
        #[cfg(not(wicked))]
        let place = &mut place;

        // error[E0521]: borrowed data escapes outside of closure
        *place = Some(scope);
    });
    if let Some(scope) = kept.take() {
        scope.schedule(GFP_KERNEL, |_| ())?;
    }
    Ok(())
}
