// SPDX-License-Identifier: GPL-2.0

//! How a thread waits, and how such a wait may end.

use crate::{
    check::{
        check,
        failed, //
    },
    kthread,
    parameters::Parameters,
    rng::Rng, //
};
use async_domain::WaitMode;
use kernel::{
    prelude::*,
    time::{
        msecs_to_jiffies,
        Jiffies, //
    },
};

/// How a thread waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) mode: WaitMode,
    signals: Signals,
    /// A time limit that may be reached; else it is one that says that something is wrong.
    short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signals {
    None,
    Fatal,
    All,
}

impl How {
    /// Waits in any way. A wait without a time limit is one that nothing but its condition or a signal
    /// ends.
    pub(crate) fn any(rng: &mut Rng, parameters: &Parameters) -> Self {
        let (mode, signals) = match rng.below(4) {
            0 => (WaitMode::INTERRUPTIBLE, Signals::All),
            1 => (WaitMode::KILLABLE, Signals::Fatal),
            _ => (WaitMode::UNINTERRUPTIBLE, Signals::None),
        };
        let (mode, short) = match rng.below(8) {
            0..3 => (mode.timeout(Jiffies::from(rng.below(4) as u16)), true),
            3 => (mode, false),
            _ => (mode.timeout(guard(parameters)), false),
        };

        Self {
            mode,
            signals,
            short,
        }
    }

    /// As [`any`](Self::any), with a short time limit.
    pub(crate) fn brief(rng: &mut Rng, parameters: &Parameters) -> Self {
        let how = Self::any(rng, parameters);

        Self {
            mode: how.mode.timeout(Jiffies::from(rng.below(4) as u16)),
            short: true,
            ..how
        }
    }

    /// Whether the wait may end before its condition is true.
    pub(crate) fn may_end(&self) -> bool {
        self.short || self.signals != Signals::None
    }

    /// Judges how a wait has ended; returns whether its condition is said to be true.
    pub(crate) fn judge(&self, ret: Result, began: Jiffies, what: &str) -> bool {
        match ret {
            Ok(()) => return true,
            Err(e) if e == ETIMEDOUT => {
                let limit = self.mode.time_limit().unwrap_or(0);
                let slept = kthread::jiffies().wrapping_sub(began);

                check!(
                    self.short,
                    "{what} has not ended within {limit} jiffies ({self:?})"
                );
                check!(
                    slept >= limit,
                    "{what} has timed out after {slept} jiffies, too early for {limit}"
                );
            }
            Err(e) if e == ERESTARTSYS => {
                let allowed = match self.signals {
                    Signals::None => false,
                    Signals::Fatal => kthread::fatal_signal(),
                    Signals::All => kernel::current!().signal_pending(),
                };
                check!(
                    allowed,
                    "{what} was interrupted without a signal ({self:?})"
                );
                kthread::flush_signals();
            }
            Err(e) => {
                failed!("{what} fails with {e:?}");
            }
        }
        false
    }
}

/// A time in which everything ends that can: longer than the watchdog's patience, so that it speaks
/// first.
fn guard(parameters: &Parameters) -> Jiffies {
    // CAST: Some seconds.
    2 * msecs_to_jiffies(1000 * parameters.stall as u32)
}
