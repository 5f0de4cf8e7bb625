// SPDX-License-Identifier: GPL-2.0

//! The value of a task is taken once.

use async_domain::Handle;
use kernel::prelude::*;

fn sum(handle: Handle<u32>) -> Result<u32> {
    let first = handle.join()?;
    #[cfg(wicked)]
    // error[E0382]: use of moved value: `handle`
    let second = handle.join()?;
    #[cfg(not(wicked))]
    let second = first;
    Ok(first + second)
}
