// SPDX-License-Identifier: GPL-2.0

//! What workers do: dispatch tasks, run them, poll futures, retire, cancel.

pub(crate) mod cancel;
pub(crate) mod dispatch;
pub(crate) mod finish;
pub(crate) mod future;
pub(crate) mod task;
pub(crate) mod token;
