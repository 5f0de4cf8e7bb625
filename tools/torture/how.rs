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
        Delta,
        Instant,
        Jiffies,
        Monotonic, //
    },
};

/// How a thread waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) mode: WaitMode,
    signals: Signals,
    /// The time limit, in milliseconds, if it is a short one.
    limit: u32,
    /// A time limit that may be reached; else it is one that says that something is wrong.
    short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signals {
    None,
    Fatal,
    All,
}

/// When a wait began, by both clocks: on a busy host jiffies fall behind the time, and catch up.
#[derive(Clone, Copy)]
pub(crate) struct Began {
    jiffies: Jiffies,
    instant: Instant<Monotonic>,
}

impl Began {
    pub(crate) fn now() -> Self {
        Self {
            jiffies: kthread::jiffies(),
            instant: Instant::now(),
        }
    }

    /// Whether so many milliseconds have passed, by one of the clocks.
    fn has_lasted(self, limit: u32) -> bool {
        kthread::jiffies().wrapping_sub(self.jiffies) >= msecs_to_jiffies(limit)
            || self.instant.elapsed() >= Delta::from_millis(limit.into())
    }
}

impl How {
    /// Waits in any way. A wait without a time limit is one that nothing but its condition or a signal
    /// ends.
    pub(crate) fn any(rng: &mut Rng, parameters: &Parameters) -> Self {
        let how = Self::unlimited(rng);

        match rng.below(8) {
            0..3 => how.limited(rng),
            3 => how,
            _ => Self {
                mode: how.mode.timeout(guard(parameters)),
                ..how
            },
        }
    }

    fn unlimited(rng: &mut Rng) -> Self {
        let (mode, signals) = match rng.below(4) {
            0 => (WaitMode::INTERRUPTIBLE, Signals::All),
            1 => (WaitMode::KILLABLE, Signals::Fatal),
            _ => (WaitMode::UNINTERRUPTIBLE.fallible(), Signals::None),
        };
        let mode = match rng.below(8) {
            0 => mode.freezable(),
            1 => mode.idle(),
            2 => mode.io(),
            _ => mode,
        };
        Self {
            mode,
            signals,
            limit: 0,
            short: false,
        }
    }

    /// With a short time limit.
    fn limited(self, rng: &mut Rng) -> Self {
        let limit = rng.below(16);
        let mode = self.mode.timeout(Delta::from_millis(limit.into()));
        let mode = if rng.one_in(4) {
            mode.hrtimer(Delta::from_micros(50))
        } else {
            mode
        };

        Self {
            mode,
            limit,
            short: true,
            ..self
        }
    }

    /// As [`any`](Self::any), with a short time limit.
    pub(crate) fn brief(rng: &mut Rng) -> Self {
        Self::unlimited(rng).limited(rng)
    }

    /// Whether the wait may end before its condition is true.
    pub(crate) fn may_end(&self) -> bool {
        self.short || self.signals != Signals::None
    }

    /// Judges how a wait has ended; returns whether its condition is said to be true.
    pub(crate) fn judge(&self, ret: Result, began: Began, what: &str) -> bool {
        match ret {
            Ok(()) => return true,
            Err(e) if e == ETIMEDOUT => {
                check!(self.short, "{what} has not ended in time ({self:?})");
                check!(
                    began.has_lasted(self.limit),
                    "{what} has timed out too early ({self:?})"
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
fn guard(parameters: &Parameters) -> Delta {
    Delta::from_secs(2 * parameters.stall)
}
