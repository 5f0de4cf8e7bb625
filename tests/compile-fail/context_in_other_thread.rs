// SPDX-License-Identifier: GPL-2.0

//! A task's context belongs to the thread that runs the task.

use async_domain::{
    AsyncDomain,
    TaskContext, //
};
use kernel::prelude::*;

fn inner(domain: &AsyncDomain, context: &TaskContext<'_>) -> Result {
    #[cfg(not(wicked))]
    let cookie = context.cookie();

    domain.scope(|scope| -> Result {
        #[cfg(wicked)]
        // error[E0277]: cannot be shared between threads safely
        scope.schedule(|_| assert!(context.synchronize().is_ok()), GFP_KERNEL)?;
        #[cfg(not(wicked))]
        scope.schedule(
            |_| assert!(domain.synchronize_cookie(cookie).is_ok()),
            GFP_KERNEL,
        )?;
        Ok(())
    })
}
