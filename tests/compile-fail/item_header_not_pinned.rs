// SPDX-License-Identifier: GPL-2.0

//! A header is pinned with its structure.

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
    task: TaskHeader<Self>,
    #[cfg(not(wicked))]
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Request { self.task }
}

impl TaskItem for Request {
    type Pointer = Arc<Self>;

    fn run(_this: Arc<Self>, _context: &TaskContext<'_>) {}
}

fn make() -> Result<Arc<Request>> {
    Arc::pin_init(
        pin_init!(Request {
            // error[E0277]: Init<TaskHeader<Request>
            task <- TaskHeader::new(),
        }),
        GFP_KERNEL,
    )
}
