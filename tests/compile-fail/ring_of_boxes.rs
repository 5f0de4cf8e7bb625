// SPDX-License-Identifier: GPL-2.0

//! What a completion ring keeps is copied under a lock, and never dropped.

use async_domain::threshold::CompletionRing;
#[cfg(wicked)]
use kernel::prelude::*;

#[cfg(wicked)]
type Answer = KBox<u32>;
#[cfg(not(wicked))]
type Answer = u32;

// error[E0277]: Copy` is not satisfied
fn ring(_: &CompletionRing<Answer>) {}
