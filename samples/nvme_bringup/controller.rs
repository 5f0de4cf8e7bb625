// SPDX-License-Identifier: GPL-2.0

//! One controller: from whatever state it is in to an answered Identify, and down again.
//!
//! The order of the steps is that of the NVM Express base specification 2.0, sections 3.5
//! ("controller initialization") and 3.6 ("shutdown processing").

use super::{
    admin::{
        halves,
        AdminQueue, //
    },
    failure::{
        Cause,
        During,
        Failure,
        Phase, //
    },
    identity::Identity,
    injection::Injection,
    registers::{
        Capabilities,
        Registers, //
    },
    regs, //
};
use kernel::{
    device::Core,
    io::{
        poll::read_poll_timeout,
        Io, //
    },
    page::PAGE_SHIFT,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        SetOnce, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// Where a memory page's size starts to count in CAP and CC.
const NVME_PAGE_SHIFT: usize = 12;

/// How often the completion queue is read.
const ANSWER_PERIOD: Delta = Delta::from_micros(100);

/// How long Identify may take. The specification names no limit; it takes milliseconds.
const IDENTIFY_LIMIT: Delta = Delta::from_secs(10);

/// How long Identify may take where the controller is not told of it: see [`Injection`].
const SILENT_LIMIT: Delta = Delta::from_millis(200);

/// The least and the most that shutdown processing may take, whatever the controller says, as in the
/// kernel's own driver.
const SHUTDOWN_LIMITS: (Delta, Delta) = (Delta::from_secs(5), Delta::from_secs(60));

/// A controller with the memory that it is given.
pub(crate) struct Controller {
    pdev: ARef<pci::Device>,
    registers: Registers,
    queue: AdminQueue,
    injection: Injection,
    number: Atomic<u32>,
    shutdown_limit: SetOnce<Delta>,
}

/// What the registers of a controller read when it has stopped.
#[derive(Clone, Copy)]
pub(crate) struct Stopped {
    /// CC.EN.
    pub(crate) en: bool,
    /// CSTS.RDY.
    pub(crate) rdy: bool,
}

impl Controller {
    /// Maps the registers and allocates the queues; does not touch the controller yet.
    pub(crate) fn new(pdev: &pci::Device<Core<'_>>, injection: Injection) -> Result<Self> {
        Ok(Self {
            pdev: pdev.into(),
            registers: Registers::new(pdev)?,
            queue: AdminQueue::new(pdev.as_ref())?,
            injection,
            number: Atomic::new(0),
            shutdown_limit: SetOnce::new(),
        })
    }

    /// Returns its number, once it has one.
    pub(crate) fn number(&self) -> u32 {
        self.number.load(Relaxed)
    }

    /// Gives it a number.
    pub(crate) fn set_number(&self, number: u32) {
        self.number.store(number, Relaxed);
    }

    /// Returns the PCI address.
    pub(crate) fn name(&self) -> &CStr {
        self.pdev.as_ref().name()
    }

    /// Starts the controller and asks it who it is. Sleeps.
    ///
    /// After a failure the controller may be running or not: see [`Self::halt`].
    pub(crate) fn bring_up(&self) -> Result<Identity, Failure> {
        let cap = self.capabilities().during(Phase::Capabilities)?;

        self.disable(cap).during(Phase::Disable)?;
        self.enable(cap).during(Phase::Enable)?;
        let identity = self.identify(cap).during(Phase::Identify)?;

        let (least, most) = SHUTDOWN_LIMITS;
        let limit = identity.shutdown.unwrap_or(least).clamp(least, most);
        self.shutdown_limit.populate(limit);
        Ok(identity)
    }

    /// Tells the controller that the power may go, and waits until it has put everything in its place.
    /// Returns the shutdown status that its registers then show. Sleeps.
    ///
    /// Does nothing to a controller that is not enabled, as after a failed bring-up. Whatever the
    /// result, the controller still has to be [halted](Self::halt).
    pub(crate) fn shut_down(&self) -> Result<u32, Failure> {
        self.request_shutdown().during(Phase::Shutdown)
    }

    /// Stops the controller without ceremony. Sleeps.
    ///
    /// Afterwards it uses none of the memory that it was given. If this fails, it still may, and
    /// that memory must not be freed.
    pub(crate) fn halt(&self) -> Result<Stopped, Failure> {
        match self.stop() {
            // What does not answer on the bus does not write to memory either.
            Err(Cause::Dead) => Ok(Stopped {
                en: false,
                rdy: false,
            }),
            result => result.during(Phase::Disable),
        }
    }

    /// Stops the controller, and reads what came of it.
    fn stop(&self) -> Result<Stopped, Cause> {
        self.disable(self.registers.capabilities()?)?;
        self.registers.with(|bar| Stopped {
            en: bar.read(regs::CC).en(),
            rdy: bar.read(regs::CSTS).rdy(),
        })
    }

    /// Reads what the controller is, and refuses what cannot work.
    fn capabilities(&self) -> Result<Capabilities, Cause> {
        let cap = self.registers.capabilities()?;
        let vs = self.registers.version()?;

        dev_dbg!(
            self.pdev,
            "NVMe {}.{}\n",
            vs.major().get(),
            vs.minor().get()
        );

        // The queues and the data are aligned to a page of the kernel's, and the controller is told
        // to use its smallest.
        if NVME_PAGE_SHIFT + usize::from(cap.high.mpsmin().cast::<u8>().get()) > PAGE_SHIFT {
            return Err(Cause::PageSize);
        }
        Ok(cap)
    }

    /// Clears CC.EN and waits until the controller has stopped.
    fn disable(&self, cap: Capabilities) -> Result<(), Cause> {
        self.registers.status()?;
        self.registers.with(|bar| {
            bar.update(regs::CC, |cc| cc.with_en(false).with_const_shn::<0>());
        })?;
        self.registers.wait_for(cap.limit, |csts| !csts.rdy())?;
        Ok(())
    }

    /// Hands over the admin queue, sets CC.EN and waits until the controller is ready.
    fn enable(&self, cap: Capabilities) -> Result<(), Cause> {
        let [asq_low, asq_high] = halves(self.queue.submission());
        let [acq_low, acq_high] = halves(self.queue.completion());
        let aqa = regs::AQA::zeroed()
            .with_const_asqs::<{ AdminQueue::LAST }>()
            .with_const_acqs::<{ AdminQueue::LAST }>();
        let cc = regs::CC::zeroed()
            .with_const_iosqes::<6>()
            .with_const_iocqes::<4>()
            .with_mps(cap.high.mpsmin())
            .with_en(true);
        let cc = if cap.high.css_none() {
            cc.with_const_css::<{ regs::CSS_ADMIN_ONLY }>()
        } else {
            cc
        };

        self.registers.with(|bar| {
            bar.write_reg(aqa);
            bar.write_reg(regs::ASQ_LOW::from(asq_low));
            bar.write_reg(regs::ASQ_HIGH::from(asq_high));
            bar.write_reg(regs::ACQ_LOW::from(acq_low));
            bar.write_reg(regs::ACQ_HIGH::from(acq_high));
            bar.write_reg(cc);
        })?;

        let ready = |csts: regs::CSTS| csts.rdy() || csts.cfs();
        if self.registers.wait_for(cap.limit, ready)?.cfs() {
            return Err(Cause::Fatal);
        }

        if !self.injection.delay.is_zero() {
            fsleep(self.injection.delay);
        }
        Ok(())
    }

    /// Sends Identify Controller and waits for the answer.
    fn identify(&self, cap: Capabilities) -> Result<Identity, Cause> {
        self.queue.submit_identify();
        self.registers.with(|bar| {
            // Nobody handles this driver's interrupts, and the line may be shared.
            bar.write_reg(regs::INTMS::from(u32::MAX));
            if !self.injection.silent {
                bar.write_reg(regs::SQ0TDBL::zeroed().with_const_tail::<1>());
            }
        })?;

        let limit = if self.injection.silent {
            SILENT_LIMIT
        } else {
            IDENTIFY_LIMIT
        };
        let answer = read_poll_timeout(
            || {
                Ok(match self.registers.status() {
                    Ok(csts) if csts.cfs() => Err(Cause::Fatal),
                    Ok(csts) if !csts.rdy() => Err(Cause::Stopped),
                    Ok(_) => Ok(self.queue.answer()),
                    Err(cause) => Err(cause),
                })
            },
            |answer| !matches!(answer, Ok(None)),
            ANSWER_PERIOD,
            limit,
        )
        .unwrap_or(Ok(None))?
        .ok_or(Cause::TimedOut(limit))?;

        // The entry is read: its place in the queue is free.
        let doorbell = cap.high.cq0hdbl();
        self.registers.with(|bar| bar.try_write32(1, doorbell))??;

        if !answer.is_ours() || answer.status() != 0 {
            return Err(Cause::Refused(answer.status().get()));
        }
        Ok(Identity::read(self.queue.data())?)
    }

    /// Sets CC.SHN and waits for CSTS.SHST, which it returns.
    fn request_shutdown(&self) -> Result<u32, Cause> {
        let csts = self.registers.status()?;

        let enabled = self.registers.with(|bar| {
            let cc = bar.read(regs::CC);

            if cc.en() {
                bar.write_reg(cc.with_const_shn::<{ regs::SHN_NORMAL }>());
            }
            cc.en()
        })?;

        if !enabled {
            return Ok(csts.shst().get());
        }
        // Modelled: an emulated controller is ready to go at once.
        if !self.injection.shutdown.is_zero() {
            fsleep(self.injection.shutdown);
        }

        let limit = self.shutdown_limit.copy().unwrap_or(SHUTDOWN_LIMITS.0);
        let complete = |csts: regs::CSTS| csts.shst() == regs::SHST_COMPLETE;
        Ok(self.registers.wait_for(limit, complete)?.shst().get())
    }
}
