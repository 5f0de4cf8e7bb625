// SPDX-License-Identifier: GPL-2.0

//! The parameters of a run.

/// The module's parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    pub(crate) threads: usize,
    pub(crate) seconds: i64,
    pub(crate) seed: u64,
    pub(crate) operations: u32,
    pub(crate) stat_interval: i64,
    pub(crate) phase: i64,
    pub(crate) stall: i64,
    pub(crate) verbose: bool,
    pub(crate) keep_going: bool,
}
