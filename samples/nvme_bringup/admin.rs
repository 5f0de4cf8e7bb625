// SPDX-License-Identifier: GPL-2.0

//! The admin queue: one command, one answer, no interrupt.

use super::identity;
use kernel::{
    bitfield,
    device::{
        Bound,
        Device, //
    },
    dma::{
        Coherent,
        DmaAddress, //
    },
    io::{
        io_project,
        io_read,
        Io, //
    },
    prelude::*,
    sync::barrier::{
        dma_mb,
        Read, //
    },
};

/// Entries in each queue: the fewest that the specification allows.
const ENTRIES: usize = 2;

/// Opcode of Identify.
const IDENTIFY: u32 = 0x06;

/// [`IDENTIFY`]'s CNS value that asks for the controller itself.
const CNS_CONTROLLER: u32 = 0x01;

/// Identifier of the only command.
const COMMAND_ID: u32 = 0x5a;

/// An entry of the submission queue: command dwords 0 to 15.
type Command = [u32; 16];

/// An entry of the completion queue: dwords 0 to 3.
type Completion = [u32; 4];

bitfield! {
    /// Dword 3 of a completion queue entry.
    pub(crate) struct Answer(u32) {
        /// Zero if the command succeeded.
        31:17 status;
        /// Inverted by the controller each time that it passes through the queue; 1 at first.
        16:16 phase => bool;
        /// Which command was completed.
        15:0 command_id;
    }
}

/// An admin queue pair with the buffer for its one command.
///
/// Each of the three starts a page: coherent memory is aligned to the smallest power of two of
/// `PAGE_SIZE` that holds it, see `dma_alloc_coherent` in
/// [`dma-api.rst`](srctree/Documentation/core-api/dma-api.rst).
pub(crate) struct AdminQueue {
    submission: Coherent<[Command; ENTRIES]>,
    completion: Coherent<[Completion; ENTRIES]>,
    data: identity::Buffer,
}

impl AdminQueue {
    /// The queues' sizes as AQA wants them: entries, less one.
    pub(crate) const LAST: u32 = ENTRIES as u32 - 1;

    /// Allocates the queues; all completion entries have phase 0, that is, are not yet written.
    pub(crate) fn new(dev: &Device<Bound>) -> Result<Self> {
        Ok(Self {
            submission: Coherent::zeroed(dev, GFP_KERNEL)?,
            completion: Coherent::zeroed(dev, GFP_KERNEL)?,
            data: Coherent::zeroed(dev, GFP_KERNEL)?,
        })
    }

    /// Returns the address of the submission queue.
    pub(crate) fn submission(&self) -> DmaAddress {
        self.submission.dma_address()
    }

    /// Returns the address of the completion queue.
    pub(crate) fn completion(&self) -> DmaAddress {
        self.completion.dma_address()
    }

    /// Writes Identify Controller into the first entry of the submission queue.
    ///
    /// Writing 1 to the tail doorbell hands it over; an MMIO write is ordered after the writes to
    /// coherent memory before it.
    pub(crate) fn submit_identify(&self) {
        let [low, high] = halves(self.data.dma_address());
        let mut command: Command = [0; 16];

        command[0] = IDENTIFY | (COMMAND_ID << 16);
        // PRP entry 1. The data is one page, so there is no second.
        command[6] = low;
        command[7] = high;
        command[10] = CNS_CONTROLLER;

        io_project!(self.submission, [build: 0]).copy_write(command.map(u32::to_le));
    }

    /// Returns the first completion if the controller has written it.
    pub(crate) fn answer(&self) -> Option<Answer> {
        let dword3 = io_read!(self.completion, [build: 0][build: 3]);
        let answer = Answer::from(u32::from_le(dword3));

        if !answer.phase() {
            return None;
        }

        // The controller writes the data first, then the entry with the phase. What the caller
        // reads of the data must not be older than the phase that was just seen.
        dma_mb(Read);
        Some(answer)
    }

    /// Returns what [`Self::submit_identify`] brought.
    pub(crate) fn data(&self) -> &identity::Buffer {
        &self.data
    }
}

impl Answer {
    /// Returns whether it answers our command.
    pub(crate) fn is_ours(self) -> bool {
        self.command_id() == COMMAND_ID
    }
}

/// Splits an address into its low and its high dword.
pub(crate) fn halves(address: DmaAddress) -> [u32; 2] {
    // CAST: Truncation is what "low dword" means.
    [address as u32, (address >> 32) as u32]
}
