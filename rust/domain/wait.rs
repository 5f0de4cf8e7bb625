// SPDX-License-Identifier: GPL-2.0

//! Waiting for tasks, with a thread or as a future.

pub(crate) mod all;
pub(crate) mod future;
pub(crate) mod overdue;
pub(crate) mod scope;
pub(crate) mod synchronize;
