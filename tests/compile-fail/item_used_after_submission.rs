// SPDX-License-Identifier: GPL-2.0

//! An item that is submitted is the domain's.

use async_domain::{
    AsyncDomain,
    Submit,
    TaskItem, //
};
use kernel::prelude::*;

fn submit<T>(domain: &AsyncDomain, item: Pin<KBox<T>>) -> Result<usize>
where
    T: TaskItem<Pointer = Pin<KBox<T>>>,
{
    #[cfg(not(wicked))]
    let size = size_of_val(&*item);
    domain.submit(item)?;
    #[cfg(wicked)]
    // error[E0382]: borrow of moved value: `item`
    let size = size_of_val(&*item);
    Ok(size)
}
