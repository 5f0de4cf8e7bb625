// SPDX-License-Identifier: GPL-2.0

//! An item that is shared is used by several threads.

use async_domain::{
    impl_has_task,
    TaskContext,
    TaskHeader,
    TaskItem, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

#[cfg(wicked)]
type Count = core::cell::Cell<u32>;
#[cfg(not(wicked))]
type Count = kernel::sync::atomic::Atomic<u32>;

#[pin_data]
struct Request {
    count: Count,
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Request { self.task }
}

// error[E0277]: `Cell<u32>` cannot be shared between threads safely
impl TaskItem for Request {
    // error[E0277]: `Cell<u32>` cannot be shared between threads safely
    type Pointer = Arc<Self>;

    fn run(_this: Arc<Self>, _context: &TaskContext<'_>) {}
}
