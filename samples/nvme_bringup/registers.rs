// SPDX-License-Identifier: GPL-2.0

//! Access to registers that may stop answering, or be taken away.

use super::{
    failure::Cause,
    regs, //
};
use kernel::{
    device::Core,
    io::{
        poll::read_poll_timeout,
        Io, //
    },
    pci,
    prelude::*,
    time::Delta, //
};

/// How often the status register is read.
const PERIOD: Delta = Delta::from_millis(1);

/// BAR 0, mapped.
pub(crate) type Bar<'bound> = pci::Bar<'bound, { regs::END }>;

/// What CAP says, as far as it matters here.
#[derive(Clone, Copy)]
pub(crate) struct Capabilities {
    /// How long enabling and disabling may take.
    pub(crate) limit: Delta,
    /// The other half.
    pub(crate) high: regs::CAP_HIGH,
}

/// The registers of one controller.
pub(crate) struct Registers(pci::DevresBar<{ regs::END }>);

impl Registers {
    /// Maps BAR 0; does not touch the registers.
    pub(crate) fn new(pdev: &pci::Device<Core<'_>>) -> Result<Self> {
        pdev.iomap_region_sized::<{ regs::END }>(0, c"nvme_bringup")?
            .into_devres()
            .map(Self)
    }

    /// Runs `f` on the registers. They may be gone, but do not go while `f` runs.
    ///
    /// `f` is in an RCU read-side critical section and must not sleep. That is why there is no
    /// guard: a wait between two accesses has to let go of the registers.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&Bar<'_>) -> R) -> Result<R, Cause> {
        self.0.try_access_with(f).ok_or(Cause::Unbound)
    }

    /// Reads CAP.
    pub(crate) fn capabilities(&self) -> Result<Capabilities, Cause> {
        let (low, high) = self.with(|bar| (bar.read(regs::CAP_LOW), bar.read(regs::CAP_HIGH)))?;

        if low.into_raw() == u32::MAX && high.into_raw() == u32::MAX {
            return Err(Cause::Dead);
        }

        Ok(Capabilities {
            // One unit more, as the kernel's own driver gives: zero is seen in the field.
            limit: Delta::from_millis(500 * (i64::from(low.to().get()) + 1)),
            high,
        })
    }

    /// Reads VS: the version of the specification, in words.
    pub(crate) fn version(&self) -> Result<regs::VS, Cause> {
        self.with(|bar| bar.read(regs::VS))
    }

    /// Reads CSTS.
    pub(crate) fn status(&self) -> Result<regs::CSTS, Cause> {
        let csts = self.with(|bar| bar.read(regs::CSTS))?;

        if csts.into_raw() == u32::MAX {
            return Err(Cause::Dead);
        }
        Ok(csts)
    }

    /// Reads CSTS until `done`, for at most `limit`. Sleeps.
    pub(crate) fn wait_for(
        &self,
        limit: Delta,
        done: impl Fn(regs::CSTS) -> bool,
    ) -> Result<regs::CSTS, Cause> {
        read_poll_timeout(
            || Ok(self.status()),
            // An error ends the wait, too.
            |status| !matches!(status, Ok(csts) if !done(*csts)),
            PERIOD,
            limit,
        )
        .unwrap_or(Err(Cause::TimedOut(limit)))
    }
}
