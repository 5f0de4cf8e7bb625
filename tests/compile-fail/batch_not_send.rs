// SPDX-License-Identifier: GPL-2.0

//! The closures of a batch run in other threads, too.

use async_domain::{
    AsyncDomain,
    Submit, //
};
use kernel::prelude::*;

#[cfg(wicked)]
type Address = *mut u8;
#[cfg(not(wicked))]
type Address = usize;

fn submit(domain: &AsyncDomain, address: Address) -> Result {
    let funcs = KVec::from_elem(address, 1, GFP_KERNEL)?;
    let mut tasks = KVec::new();

    for address in funcs {
        tasks.push(
            move |_: &async_domain::TaskContext<'_>| assert_eq!(address, address),
            GFP_KERNEL,
        )?;
    }
    // error[E0277]: `*mut u8` cannot be sent between threads safely
    domain.schedule_batch(GFP_KERNEL, tasks)?;
    Ok(())
}
