// SPDX-License-Identifier: GPL-2.0

//! What can go wrong, where, and how the log says it.

use kernel::{
    fmt,
    prelude::*,
    time::Delta, //
};

/// A step of a controller's life, in order.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    /// Reading what the controller is.
    Capabilities,
    /// Bringing it to a known state.
    Disable,
    /// Giving it the admin queue and starting it.
    Enable,
    /// Asking it who it is.
    Identify,
    /// Telling it that the power may go, and stopping it.
    Shutdown,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Capabilities => "capabilities",
            Phase::Disable => "disable",
            Phase::Enable => "enable",
            Phase::Identify => "identify",
            Phase::Shutdown => "shutdown",
        })
    }
}

/// Why a step failed.
#[derive(Clone, Copy)]
pub(crate) enum Cause {
    /// The driver core has taken the registers away.
    Unbound,
    /// The registers read as all ones: nothing answers on the bus.
    Dead,
    /// The controller reports a fatal status.
    Fatal,
    /// The controller is no longer ready.
    Stopped,
    /// The controller needs larger pages than the kernel has.
    PageSize,
    /// The controller did not answer in this time.
    TimedOut(Delta),
    /// The controller answered a command with this status.
    Refused(u32),
    /// The kernel could not do its part.
    Kernel(Error),
}

impl Cause {
    /// Writes the name of the errno that stands for this cause.
    fn fmt_errno(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Unbound | Cause::Dead => f.write_str("ENODEV"),
            Cause::Fatal | Cause::Stopped | Cause::Refused(_) => f.write_str("EIO"),
            Cause::PageSize => f.write_str("EOPNOTSUPP"),
            Cause::TimedOut(_) => f.write_str("ETIMEDOUT"),
            Cause::Kernel(error) => match error.name() {
                Some(name) => fmt::Display::fmt(name, f),
                // The kernel is built without `CONFIG_SYMBOLIC_ERRNAME`.
                None => write!(f, "errno {}", -error.to_errno()),
            },
        }
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Cause::Kernel(error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Unbound => f.write_str("the device was unbound"),
            Cause::Dead => f.write_str("the registers read as all ones"),
            Cause::Fatal => f.write_str("the controller reports a fatal status"),
            Cause::Stopped => f.write_str("the controller is no longer ready"),
            Cause::PageSize => f.write_str("its smallest page is larger than the kernel's"),
            Cause::TimedOut(limit) => write!(f, "no answer in {} ms", limit.as_millis()),
            Cause::Refused(status) => write!(f, "the command ended with status {status:#x}"),
            Cause::Kernel(_) => f.write_str("an error of the kernel"),
        }
    }
}

/// A step that failed, and why.
#[derive(Clone, Copy)]
pub(crate) struct Failure {
    /// The step.
    pub(crate) phase: Phase,
    /// The reason.
    pub(crate) cause: Cause,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.phase, f)?;
        f.write_str(": ")?;
        self.cause.fmt_errno(f)?;
        f.write_str(" (")?;
        fmt::Display::fmt(&self.cause, f)?;
        f.write_str(")")
    }
}

/// Says in which phase something failed.
pub(crate) trait During<T> {
    /// Turns the cause into a [`Failure`] of `phase`.
    fn during(self, phase: Phase) -> Result<T, Failure>;
}

impl<T> During<T> for Result<T, Cause> {
    fn during(self, phase: Phase) -> Result<T, Failure> {
        self.map_err(|cause| Failure { phase, cause })
    }
}
