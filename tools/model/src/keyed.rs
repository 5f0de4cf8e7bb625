// SPDX-License-Identifier: GPL-2.0

//! Stands for `rust/keyed.rs`.

#[path = "../../../rust/keyed/key.rs"]
mod key;
#[path = "../../../rust/keyed/table.rs"]
mod table;
#[path = "../../../rust/keyed/waiter.rs"]
mod waiter;

#[path = "scenarios/keyed.rs"]
pub mod scenarios;

pub use key::Key;
pub use table::WaitTable;
pub use waiter::{
    Bucket,
    Woken, //
};
