// SPDX-License-Identifier: GPL-2.0

//! A header is where the processor expects one.

use async_domain::{
    impl_has_task,
    TaskHeader, //
};
use kernel::prelude::*;

#[cfg_attr(wicked, repr(packed))]
// error[E0793]: reference to packed field is unaligned
#[pin_data]
struct Request {
    flags: u8,
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Request { self.task }
}
