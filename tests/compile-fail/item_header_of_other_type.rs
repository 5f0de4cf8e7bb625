// SPDX-License-Identifier: GPL-2.0

//! The field that is named as the header is one, and of this structure.

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

#[pin_data]
struct Request {
    #[cfg(wicked)]
    #[pin]
    task: TaskHeader<Other>,
    #[cfg(not(wicked))]
    #[pin]
    task: TaskHeader<Self>,
}

#[pin_data]
struct Other {
    #[pin]
    task: TaskHeader<Self>,
}

// error[E0308]: expected `*const TaskHeader<Request>`, found `*const TaskHeader<Other>`
impl_has_task! {
    impl HasTask<Self> for Request { self.task }
}

impl TaskItem for Request {
    type Pointer = Arc<Self>;

    fn run(_this: Arc<Self>, _context: &TaskContext<'_>) {}
}
