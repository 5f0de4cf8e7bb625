// SPDX-License-Identifier: GPL-2.0

//! When the last of many tasks has run.

use crate::{
    form::Job,
    time::now, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Full,
                Relaxed, //
            },
            Atomic, //
        },
        Arc,
        Completion, //
    },
};

/// Takes the time when it has been run as often as it was told, which may be done more often.
#[pin_data]
pub(crate) struct Countdown {
    left: Atomic<usize>,
    end: Atomic<u64>,
    #[pin]
    done: Completion,
}

impl Countdown {
    pub(crate) fn new(n: usize) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                left: Atomic::new(n),
                end: Atomic::new(0),
                done <- Completion::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Waits until it has, and returns that time.
    pub(crate) fn end(&self) -> u64 {
        self.done.wait_for_completion();
        self.end.load(Relaxed)
    }
}

impl Job for Countdown {
    #[inline]
    fn run(&self) {
        if self.left.fetch_sub(1, Full) == 1 {
            self.end.store(now(), Relaxed);
            self.done.complete_all();
        }
    }
}
