// SPDX-License-Identifier: GPL-2.0

//! The controller's registers, as far as bringing it up and down needs them.
//!
//! The layout is that of the NVM Express base specification, section 3.1 ("NVMe controller
//! registers"); [`enum NVME_REG_*`](srctree/include/linux/nvme.h) names the same offsets.
//!
//! The 64-bit registers are declared as pairs of 32-bit ones. The specification allows both widths,
//! and a mapped BAR is only known to be aligned to four bytes, so that the checked accessors of
//! [`Io`](kernel::io::Io) do not offer a wider one.

use kernel::io::register;

/// Bytes of BAR 0 that must be there: the registers and, with the smallest stride, the doorbells of
/// the admin queue.
pub(crate) const END: usize = 0x1008;

/// Offset of the first doorbell.
const DOORBELLS: usize = 0x1000;

/// [`CC::shn`]: a normal shutdown.
pub(crate) const SHN_NORMAL: u32 = 1;

/// [`CSTS::shst`]: shutdown processing is complete.
pub(crate) const SHST_COMPLETE: u32 = 2;

/// [`CC::css`]: admin commands only.
pub(crate) const CSS_ADMIN_ONLY: u32 = 7;

register! {
    /// Controller capabilities, bits 31 to 0.
    pub(crate) CAP_LOW(u32) @ 0x00 {
        /// Longest time from a change of [`CC::en`] to the answer in [`CSTS::rdy`], in 500 ms.
        31:24 to;
    }

    /// Controller capabilities, bits 63 to 32.
    pub(crate) CAP_HIGH(u32) @ 0x04 {
        /// Smallest memory page, as a power of two above 4096 bytes.
        19:16 mpsmin;
        /// The controller has no I/O command set.
        12:12 css_none => bool;
        /// Distance between doorbells, as a power of two above four bytes.
        3:0 dstrd;
    }

    /// Version of the specification that the controller implements.
    pub(crate) VS(u32) @ 0x08 {
        /// Major version number.
        31:16 major;
        /// Minor version number.
        15:8 minor;
    }

    /// Interrupt mask, set by writing ones.
    pub(crate) INTMS(u32) @ 0x0c {
        /// The interrupt vectors to mask, a bit for each.
        31:0 vectors;
    }

    /// Controller configuration.
    pub(crate) CC(u32) @ 0x14 {
        /// Size of an entry in I/O completion queues, as a power of two.
        23:20 iocqes;
        /// Size of an entry in I/O submission queues, as a power of two.
        19:16 iosqes;
        /// Shutdown notification.
        15:14 shn;
        /// Memory page, as a power of two above 4096 bytes.
        10:7 mps;
        /// Command set.
        6:4 css;
        /// Enable.
        0:0 en => bool;
    }

    /// Controller status.
    pub(crate) CSTS(u32) @ 0x1c {
        /// Shutdown status.
        3:2 shst;
        /// A fatal error; only a reset ends it.
        1:1 cfs => bool;
        /// Ready to process commands.
        0:0 rdy => bool;
    }

    /// Admin queue attributes: entries, less one.
    pub(crate) AQA(u32) @ 0x24 {
        /// Of the completion queue.
        27:16 acqs;
        /// Of the submission queue.
        11:0 asqs;
    }

    /// Admin submission queue's address, bits 31 to 0.
    pub(crate) ASQ_LOW(u32) @ 0x28 {
        /// This half of the address.
        31:0 address;
    }

    /// Admin submission queue's address, bits 63 to 32.
    pub(crate) ASQ_HIGH(u32) @ 0x2c {
        /// This half of the address.
        31:0 address;
    }

    /// Admin completion queue's address, bits 31 to 0.
    pub(crate) ACQ_LOW(u32) @ 0x30 {
        /// This half of the address.
        31:0 address;
    }

    /// Admin completion queue's address, bits 63 to 32.
    pub(crate) ACQ_HIGH(u32) @ 0x34 {
        /// This half of the address.
        31:0 address;
    }

    /// Doorbell of the admin submission queue: the tail.
    pub(crate) SQ0TDBL(u32) @ 0x1000 {
        /// The entry after the last that was written.
        15:0 tail;
    }
}

impl CAP_HIGH {
    /// Returns where the doorbell of the admin completion queue (the head) is: the second doorbell.
    pub(crate) fn cq0hdbl(self) -> usize {
        DOORBELLS + (4_usize << self.dstrd().get())
    }
}
