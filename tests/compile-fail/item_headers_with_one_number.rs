// SPDX-License-Identifier: GPL-2.0

//! Two headers of one structure have two numbers.

use async_domain::{
    impl_has_task,
    TaskHeader, //
};
use kernel::prelude::*;

#[cfg(wicked)]
type Second = TaskHeader<Request>;
#[cfg(not(wicked))]
type Second = TaskHeader<Request, 1>;

#[pin_data]
struct Request {
    #[pin]
    first: TaskHeader<Self>,
    #[pin]
    second: Second,
}

#[cfg(wicked)]
// error[E0119]: conflicting implementations of trait
impl_has_task! {
    impl HasTask<Self> for Request { self.first }
    impl HasTask<Self> for Request { self.second }
}

#[cfg(not(wicked))]
impl_has_task! {
    impl HasTask<Self> for Request { self.first }
    impl HasTask<Self, 1> for Request { self.second }
}
