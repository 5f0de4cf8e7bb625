// SPDX-License-Identifier: GPL-2.0

//! A task's context is of no use when the task is over, and must not be kept.

#[cfg(wicked)]
use async_domain::TaskContext;
use async_domain::{
    AsyncDomain,
    Cookie, //
    Submit,
};
use kernel::prelude::*;

#[cfg(wicked)]
fn keep(domain: &AsyncDomain) -> Result<Option<Cookie>> {
    let mut kept: Option<&TaskContext<'_>> = None;

    domain.scope(|scope| {
        scope
            // error[E0277]: cannot be shared between threads safely
            .schedule(GFP_KERNEL, |context| kept = Some(context))
            .map(|_| ())
    })?;
    Ok(kept.map(|context| context.cookie()))
}

#[cfg(not(wicked))]
fn keep(domain: &AsyncDomain) -> Result<Option<Cookie>> {
    let mut kept: Option<Cookie> = None;

    domain.scope(|scope| {
        scope
            .schedule(GFP_KERNEL, |context| kept = Some(context.cookie()))
            .map(|_| ())
    })?;
    Ok(kept)
}
