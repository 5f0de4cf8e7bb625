// SPDX-License-Identifier: GPL-2.0

//! Data under a domain's lock. Nothing here runs the code of a consumer.

pub(crate) mod coming;
pub(crate) mod context;
pub(crate) mod cookie;
pub(crate) mod dispatcher;
pub(crate) mod domain;
pub(crate) mod future_header;
pub(crate) mod header;
pub(crate) mod lockdep;
pub(crate) mod module_refs;
pub(crate) mod name;
pub(crate) mod order;
pub(crate) mod pending;
pub(crate) mod poller;
pub(crate) mod queue;
pub(crate) mod registry;
pub(crate) mod running;
pub(crate) mod scope_data;
pub(crate) mod this_module;
pub(crate) mod trace;
pub(crate) mod worker_id;
