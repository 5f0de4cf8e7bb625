// SPDX-License-Identifier: GPL-2.0

//! Point-in-time snapshots of domains, for debugfs and for reports.

#[cfg(CONFIG_DEBUG_FS)]
pub(crate) mod files;
pub(crate) mod snapshot;
