// SPDX-License-Identifier: GPL-2.0

//! What domains live and die with: their owners, devices, modules.

pub(crate) mod binding;
pub(crate) mod device;
pub(crate) mod drop;
pub(crate) mod owned;
pub(crate) mod static_domain;
pub(crate) mod unload;
