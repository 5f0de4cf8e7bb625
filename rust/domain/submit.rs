// SPDX-License-Identifier: GPL-2.0

//! The forms of submission.

pub(crate) mod batch;
pub(crate) mod closure;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod item;
pub(crate) mod item_token;
pub(crate) mod outcome;
pub(crate) mod schedule;
pub(crate) mod scope;
pub(crate) mod spawn;
pub(crate) mod target;
pub(crate) mod token;
