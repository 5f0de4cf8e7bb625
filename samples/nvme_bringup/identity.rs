// SPDX-License-Identifier: GPL-2.0

//! Who a controller says that it is.

use kernel::{
    dma::Coherent,
    fmt,
    io::{
        io_project,
        Io, //
    },
    prelude::*,
    time::Delta, //
};

/// Bytes of the Identify Controller data structure.
const SIZE: usize = 4096;

/// Memory into which a controller writes its answer to Identify Controller.
pub(crate) type Buffer = Coherent<[u8; SIZE]>;

/// What matters here of the Identify Controller data structure.
pub(crate) struct Identity {
    /// Serial number (SN).
    pub(crate) serial: Text<20>,
    /// Model number (MN).
    pub(crate) model: Text<40>,
    /// Firmware revision (FR).
    pub(crate) firmware: Text<8>,
    /// How long a normal shutdown may take (RTD3E); none if the controller does not say.
    pub(crate) shutdown: Option<Delta>,
}

impl Identity {
    /// Copies it out of `buffer`.
    pub(crate) fn read(buffer: &Buffer) -> Result<Self> {
        let rtd3e: [u8; 4] = io_project!(buffer, [build: 88..92]).try_cast()?.copy_read();
        let rtd3e = u32::from_le_bytes(rtd3e);

        Ok(Self {
            serial: Text(io_project!(buffer, [build: 4..24]).try_cast()?.copy_read()),
            model: Text(io_project!(buffer, [build: 24..64]).try_cast()?.copy_read()),
            firmware: Text(io_project!(buffer, [build: 64..72]).try_cast()?.copy_read()),
            shutdown: (rtd3e != 0).then(|| Delta::from_micros(i64::from(rtd3e))),
        })
    }
}

/// A text of `N` bytes: ASCII, padded with blanks.
///
/// It is a device that wrote it, so it is displayed with care: in quotes, without the padding, and
/// with a `?` for whatever does not print or would end the quotes.
pub(crate) struct Text<const N: usize>([u8; N]);

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
        let start = self.0.iter().position(|byte| !is_padding(byte));
        let end = self.0.iter().rposition(|byte| !is_padding(byte));

        f.write_str("\"")?;
        if let (Some(start), Some(end)) = (start, end) {
            for &byte in self.0.iter().take(end + 1).skip(start) {
                let prints = matches!(byte, b' '..=b'~') && byte != b'"';
                fmt::Write::write_char(f, if prints { byte.into() } else { '?' })?;
            }
        }
        f.write_str("\"")
    }
}
