// SPDX-License-Identifier: GPL-2.0

//! An item is submitted by the pointer that its function takes it back with.

use async_domain::{
    impl_has_task,
    AsyncDomain,
    Submit,
    TaskContext,
    TaskHeader,
    TaskItem, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

#[cfg(wicked)]
type Pointer = Pin<KBox<Request>>;
#[cfg(not(wicked))]
type Pointer = Arc<Request>;

#[pin_data]
struct Request {
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Request { self.task }
}

impl TaskItem for Request {
    type Pointer = Pointer;

    fn run(_this: Pointer, _context: &TaskContext<'_>) {}
}

fn submit(domain: &AsyncDomain, request: Arc<Request>) -> Result {
    // error[E0271]: type mismatch resolving `<Request as TaskItem>::Pointer == Arc<Request>`
    domain.submit(request)?;
    Ok(())
}
