// SPDX-License-Identifier: GPL-2.0

//! Where the header is, the macro finds out; whoever says it by hand answers for it.

use async_domain::{
    domain::HasTask,
    TaskHeader, //
};
use kernel::prelude::*;

#[pin_data]
struct Request {
    sector: u64,
    #[pin]
    task: TaskHeader<Self>,
}

#[cfg(wicked)]
// error[E0200]: requires an `unsafe impl` declaration
impl HasTask<Self> for Request {
    const OFFSET: usize = 0;
}

#[cfg(not(wicked))]
async_domain::impl_has_task! {
    impl HasTask<Self> for Request { self.task }
}

const OFFSET: usize = <Request as HasTask<Request>>::OFFSET;
