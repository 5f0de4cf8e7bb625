// SPDX-License-Identifier: GPL-2.0

//! Wait modes: what may end a sleep, and what the rest of the kernel takes it for.

use crate::ffi;
use core::convert::Infallible;
use kernel::{
    prelude::*,
    task::MAX_SCHEDULE_TIMEOUT,
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};

/// How a thread waits: what may end its wait before the condition is true, and what the rest of the kernel takes its
/// sleep for.
///
/// A mode is one of three constants, and what is added to it, each once:
///
/// - a limit: [`timeout`](Self::timeout) or [`deadline`](Self::deadline), perhaps by a high-resolution timer
///   ([`hrtimer`](Self::hrtimer));
/// - [`freezable`](Self::freezable): the machine can suspend in the meantime;
/// - [`idle`](Self::idle): the thread has nothing to do, and is no load;
/// - [`io`](Self::io): the thread waits for a device.
///
/// `E` is the error of a wait in this mode. [`UNINTERRUPTIBLE`](Self::UNINTERRUPTIBLE) waits without a limit cannot
/// fail, and their `E` is [`Infallible`]: the compiler knows that there is nothing to handle. Functions that can fail for
/// other reasons take any mode and return an [`Error`].
///
/// # Examples
///
/// ```
/// use async_domain::{new_event_counter, WaitMode};
/// use kernel::time::{Delta, Instant};
///
/// let flushes = KBox::pin_init(new_event_counter!("flushes"), GFP_KERNEL)?;
///
/// // On behalf of a process, which can be killed and does not keep the machine from suspending. Fails with
/// // `ERESTARTSYS` when a fatal signal comes, and with `ETIMEDOUT` after 20 ms.
/// const MODE: WaitMode = WaitMode::KILLABLE.freezable().timeout(Delta::from_millis(20));
/// assert_eq!(flushes.wait_for(1, MODE), Err(ETIMEDOUT));
///
/// // For a device, 100 microseconds from now, or 10 more.
/// let soon = Instant::now() + Delta::from_micros(100);
/// let mode = WaitMode::UNINTERRUPTIBLE.io().deadline(soon).hrtimer(Delta::from_micros(10));
/// assert_eq!(flushes.wait_for(1, mode), Err(ETIMEDOUT));
///
/// // A service thread, which waits for work, perhaps for days. It cannot fail.
/// flushes.advance(1);
/// let Ok(()) = flushes.wait_for(1, WaitMode::UNINTERRUPTIBLE.idle());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitMode<E = Error> {
    state: c_uint,
    io: bool,
    /// What the wait fails with if a signal comes that `state` allows for.
    signal: Option<E>,
    limit: Limit<E>,
    /// By how many nanoseconds a high-resolution timer may be late; without it, that is left to jiffies.
    slack: Option<u64>,
}

/// When a wait ends, and what it fails with then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit<E> {
    Never,
    /// So many nanoseconds after its beginning.
    After(i64, E),
    /// At a time of `CLOCK_MONOTONIC`, in nanoseconds.
    At(i64, E),
}

impl WaitMode<Infallible> {
    /// Only the condition ends the wait (C's `wait_event()`).
    pub const UNINTERRUPTIBLE: Self = Self {
        state: ffi::TASK_UNINTERRUPTIBLE,
        io: false,
        signal: None,
        limit: Limit::Never,
        slack: None,
    };
}

impl WaitMode {
    /// A signal ends the wait with `ERESTARTSYS` (C's `wait_event_interruptible()`).
    pub const INTERRUPTIBLE: Self = Self::until_signal(ffi::TASK_INTERRUPTIBLE);

    /// A fatal signal ends the wait with `ERESTARTSYS` (C's `wait_event_killable()`).
    pub const KILLABLE: Self = Self::until_signal(ffi::TASK_KILLABLE);

    const fn until_signal(state: c_uint) -> Self {
        Self {
            state,
            signal: Some(ERESTARTSYS),
            ..WaitMode::UNINTERRUPTIBLE.fallible()
        }
    }
}

impl<E: Copy> WaitMode<E> {
    /// Lets the machine suspend while the thread waits (C's `TASK_FREEZABLE`).
    ///
    /// The freezer leaves the thread asleep, where it would wait for one that cannot be woken, and in the end refuse to
    /// suspend. What a waker grants to a frozen thread is the thread's: it finds it when it runs again. A
    /// time limit does not go on while the machine sleeps.
    ///
    /// This is right for every wait that user space causes and may last. It is wrong where the thread holds what
    /// others need on their way into the refrigerator, such as a lock; lockdep reports those. It makes no difference
    /// to threads that are not frozen: kernel threads and workers, unless they have asked for it.
    #[must_use]
    pub const fn freezable(self) -> Self {
        Self {
            state: self.state | ffi::TASK_FREEZABLE,
            ..self
        }
    }

    /// Does not count as load (C's `TASK_IDLE`): for service threads that wait until there is something to do.
    ///
    /// Without it, an uninterruptible sleep adds to the load average. The detector of hung tasks looks at neither
    /// these nor killable ones. It takes the place of [`io`](Self::io).
    #[must_use]
    pub const fn idle(self) -> Self {
        Self {
            state: self.state | ffi::TASK_NOLOAD,
            io: false,
            ..self
        }
    }

    /// Counts as waiting for I/O (C's `io_schedule()`): in the CPU time that is shown as `iowait`, in the blocked
    /// processes of `/proc/stat`, in delay accounting and pressure stall information, and for the CPU's frequency.
    /// It takes the place of [`idle`](Self::idle).
    #[must_use]
    pub const fn io(self) -> Self {
        Self {
            state: self.state & !ffi::TASK_NOLOAD,
            io: true,
            ..self
        }
    }

    /// Ends the wait with `ETIMEDOUT` after this time, unless the condition was true before. A timeout that is not
    /// positive tests the condition once and does not sleep.
    ///
    /// The time begins with the wait, and is rounded up to jiffies; see [`hrtimer`](Self::hrtimer) for a closer one. It
    /// takes the place of a limit that the mode had.
    #[must_use]
    pub const fn timeout(self, timeout: Delta) -> WaitMode {
        self.limited(Limit::After(timeout.as_nanos(), ETIMEDOUT))
    }

    /// Ends the wait with `ETIMEDOUT` at this time, unless the condition was true before.
    ///
    /// As [`timeout`](Self::timeout) otherwise. Several waits in this mode share the time.
    #[must_use]
    pub fn deadline(self, deadline: Instant<Monotonic>) -> WaitMode {
        let left = deadline - Instant::now();

        self.limited(Limit::At(
            ffi::ktime_get().saturating_add(left.as_nanos()),
            ETIMEDOUT,
        ))
    }

    /// Has a high-resolution timer end the wait, if there is a limit, and lets it be late by `slack`, so that it can
    /// share an interrupt with others (C's `schedule_hrtimeout_range()`).
    ///
    /// It costs more than the timers that count jiffies, which are for limits that are hardly ever reached.
    #[must_use]
    pub const fn hrtimer(self, slack: Delta) -> Self {
        let slack = slack.as_nanos();

        Self {
            // CAST: It is not negative.
            slack: Some(if slack > 0 { slack as u64 } else { 0 }),
            ..self
        }
    }

    /// The same mode, of waits that can fail for other reasons.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::WaitMode;
    ///
    /// fn mode(by_user: bool) -> WaitMode {
    ///     if by_user {
    ///         WaitMode::KILLABLE.freezable()
    ///     } else {
    ///         WaitMode::UNINTERRUPTIBLE.fallible()
    ///     }
    /// }
    /// ```
    #[must_use]
    pub const fn fallible(self) -> WaitMode {
        let limit = match self.limit {
            Limit::Never => Limit::Never,
            Limit::After(time, _) => Limit::After(time, ETIMEDOUT),
            Limit::At(time, _) => Limit::At(time, ETIMEDOUT),
        };

        self.limited(limit)
    }

    const fn limited(self, limit: Limit<Error>) -> WaitMode {
        WaitMode {
            state: self.state,
            io: self.io,
            signal: if self.signal.is_some() {
                Some(ERESTARTSYS)
            } else {
                None
            },
            limit,
            slack: self.slack,
        }
    }

    /// How long a wait in this mode that begins now may last; `None` if there is no limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::WaitMode;
    /// use kernel::time::Delta;
    ///
    /// let minute = WaitMode::KILLABLE.timeout(Delta::from_secs(60));
    /// assert_eq!(minute.time_left(), Some(Delta::from_secs(60)));
    /// assert_eq!(WaitMode::KILLABLE.time_left(), None);
    /// ```
    #[must_use]
    pub fn time_left(self) -> Option<Delta> {
        match self.limit {
            Limit::Never => None,
            Limit::After(time, _) => Some(Delta::from_nanos(time)),
            Limit::At(time, _) => Some(Delta::from_nanos(time.saturating_sub(ffi::ktime_get()))),
        }
    }

    /// The same mode, whose time begins now: several waits share it.
    pub(crate) fn begun_now(self) -> Self {
        let limit = match self.limit {
            Limit::After(time, error) => Limit::At(ffi::ktime_get().saturating_add(time), error),
            limit => limit,
        };

        Self { limit, ..self }
    }

    /// Begins to wait, but does not sleep yet.
    #[inline]
    pub(super) fn begin(self) -> Sleep<E> {
        let timer = match (self.limit, self.slack) {
            (Limit::Never, _) => Timer::None,
            (Limit::After(time, error), None) => Timer::jiffies(time, error),
            (Limit::At(expires, error), None) => {
                Timer::jiffies(expires.saturating_sub(ffi::ktime_get()), error)
            }
            (Limit::After(time, error), Some(slack)) => Timer::Hr {
                expires: ffi::ktime_get().saturating_add(time),
                slack,
                over: (time <= 0).then_some(error),
                error,
            },
            (Limit::At(expires, error), Some(slack)) => Timer::Hr {
                expires,
                slack,
                over: (expires <= ffi::ktime_get()).then_some(error),
                error,
            },
        };

        Sleep { mode: self, timer }
    }
}

impl From<WaitMode<Infallible>> for WaitMode {
    fn from(mode: WaitMode<Infallible>) -> Self {
        mode.fallible()
    }
}

/// The timer of a wait that has begun.
enum Timer<E> {
    None,
    /// So many jiffies are left.
    Jiffies {
        left: c_long,
        error: E,
    },
    /// A high-resolution timer, and whether it has fired.
    Hr {
        expires: i64,
        slack: u64,
        over: Option<E>,
        error: E,
    },
}

impl<E> Timer<E> {
    fn jiffies(nanos: i64, error: E) -> Self {
        const TICK: i64 = 1_000_000_000 / ffi::CONFIG_HZ as i64;

        // Rounded up. The kernel's timers see to it that the jiffy that is running does not count.
        let left = if nanos > 0 { (nanos - 1) / TICK + 1 } else { 0 };
        Self::Jiffies {
            // CAST: It has just been made small enough.
            left: left.min(MAX_SCHEDULE_TIMEOUT as i64 - 1) as c_long,
            error,
        }
    }
}

/// A wait that has begun: its mode, and the time that is left.
pub(super) struct Sleep<E> {
    mode: WaitMode<E>,
    timer: Timer<E>,
}

impl<E: Copy> Sleep<E> {
    /// Sets the state in which the current thread sleeps (C's `set_current_state()`).
    #[inline]
    // Tested by: mutant state-set-after-unlock, mutant state-not-set-again.
    pub(super) fn prepare(&self) {
        // SAFETY: A thread can sleep in the states that modes have, and be woken from them at any time.
        unsafe { ffi::set_current_state(self.mode.state) }
    }

    /// Sleeps until something wakes the thread, or its time is over.
    #[inline]
    pub(super) fn sleep(&mut self) {
        if self.mode.io {
            ffi::with_io_wait(|| self.timer.sleep())
        } else {
            self.timer.sleep()
        }
    }

    /// What the wait fails with if its time is over.
    #[inline]
    pub(super) fn is_late(&self) -> Option<E> {
        match self.timer {
            Timer::Jiffies { left: 0, error } => Some(error),
            Timer::Hr { over, .. } => over,
            _ => None,
        }
    }

    /// What the wait fails with if a signal or the time ends it.
    #[inline]
    pub(super) fn is_over(&self) -> Option<E> {
        self.mode
            .signal
            .filter(|_| ffi::signal_pending_state(self.mode.state))
            .or_else(|| self.is_late())
    }
}

impl<E: Copy> Timer<E> {
    #[inline]
    // Tested by: kunit limits_are_kept, mutant hrtimer-ignored.
    fn sleep(&mut self) {
        // SAFETY: Nothing but a thread that waits has a timer.
        let schedule_timeout = |left| unsafe { ffi::schedule_timeout(left) };

        match self {
            Self::None => {
                schedule_timeout(MAX_SCHEDULE_TIMEOUT);
            }
            Self::Jiffies { left, .. } => *left = schedule_timeout(*left),
            Self::Hr {
                expires,
                slack,
                over,
                error,
            } => {
                // SAFETY: Nothing but a thread that waits has a timer. The time is there for as long.
                let ret = unsafe {
                    ffi::schedule_hrtimeout_range(expires, *slack, ffi::HRTIMER_MODE_ABS)
                };
                *over = (ret == 0).then_some(*error);
            }
        }
    }
}
