// SPDX-License-Identifier: GPL-2.0

//! A task's context belongs to the thread that runs the task.

use async_domain::{
    AsyncDomain,
    Submit,
    TaskContext, //
};
use kernel::prelude::*;

fn inner(domain: &AsyncDomain, context: &TaskContext<'_>) -> Result {
    #[cfg(not(wicked))]
    let cookie = context.cookie();

    domain.scope(|scope| -> Result {
        #[cfg(wicked)]
        // error[E0277]: cannot be shared between threads safely
        scope.schedule(GFP_KERNEL, |_| assert!(context.synchronize().is_ok()))?;
        #[cfg(not(wicked))]
        scope.schedule(GFP_KERNEL, |_| {
            assert!(domain.synchronize(..cookie).is_ok())
        })?;
        Ok(())
    })
}
