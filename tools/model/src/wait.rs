// SPDX-License-Identifier: GPL-2.0

//! Stands for `rust/wait.rs`, whose documentation says what all of this is about.

#[path = "../../../rust/wait/entry.rs"]
mod entry;
#[path = "../../../rust/wait/filter.rs"]
mod filter;
#[path = "../../../rust/wait/filters.rs"]
mod filters;
#[path = "../../../rust/wait/head.rs"]
mod head;
#[path = "../../../rust/wait/mode.rs"]
mod mode;
#[path = "../../../rust/wait/queued.rs"]
mod queued;
#[path = "../../../rust/wait/sleep.rs"]
mod sleep;
#[path = "../../../rust/wait/waker.rs"]
mod waker;

pub use filter::{
    Fifo,
    Filter,
    Order,
    Sorted,
    Verdict, //
};
pub(crate) use filters::{
    AnyWakeup,
    AtLeast, //
};
pub use head::{
    Counts,
    Locked,
    WaitQueue, //
};
pub use mode::WaitMode;
pub(crate) use waker::Waiting;
