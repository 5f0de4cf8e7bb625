// SPDX-License-Identifier: GPL-2.0

//! Signals to other threads.

use crate::{
    kthread,
    rng::Rng,
    stats::Kind,
    torturer::Torturer, //
};
use kernel::prelude::*;

pub(super) fn send(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let victim = rng.index(torturer.world.parameters.threads);

    if let Some(task) = torturer.world.posts[victim].task() {
        Kind::Signal.count();
        kthread::send_signal(&task, rng.one_in(3));
    }
    Ok(())
}
