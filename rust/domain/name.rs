// SPDX-License-Identifier: GPL-2.0

//! What a domain is called, for people.

use kernel::prelude::*;

/// A name, or the end of it: a domain without one is called by its place in the source.
///
/// A copy, since the string that a domain was made with may be in a module that is unloaded before the one
/// that made the domain.
///
/// # Invariants
///
/// The last byte is 0.
pub(super) struct Name([u8; Self::SIZE]);

impl Name {
    const SIZE: usize = 48;

    /// Copies as much of the end as there is room for.
    pub(super) fn new(name: &CStr) -> Self {
        let mut this = Self([0; Self::SIZE]);
        let bytes = name.to_bytes();
        let end = &bytes[bytes.len().saturating_sub(Self::SIZE - 1)..];

        // INVARIANT: There is one more byte, which is 0.
        this.0[..end.len()].copy_from_slice(end);
        this
    }

    /// The name as a C string, which is valid as long as this.
    pub(super) fn as_char_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}
