// SPDX-License-Identifier: GPL-2.0

//! What a domain is called.

use kernel::prelude::*;

/// The name of a domain, or the end of it, as a C string.
///
/// It is a copy: nothing keeps the module loaded that the name came from, which need not be the one that
/// has made the domain.
///
/// # Invariants
///
/// The last byte is zero.
pub(crate) struct Name([u8; Self::LENGTH + 1]);

impl Name {
    /// How many characters of a name are kept.
    pub(crate) const LENGTH: usize = 47;

    pub(crate) fn new(name: &CStr) -> Self {
        let name = name.to_bytes();
        // The end, since a domain without a name is called by its place in the source.
        let name = &name[name.len().saturating_sub(Self::LENGTH)..];
        let mut this = [0; Self::LENGTH + 1];

        this[..name.len()].copy_from_slice(name);
        // INVARIANT: There is one byte more than were copied.
        Self(this)
    }

    /// The name as C has it.
    #[inline]
    pub(crate) fn as_char_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }

    /// The name, filled up with zeroes.
    pub(crate) fn bytes(&self) -> &[u8; Self::LENGTH + 1] {
        &self.0
    }
}
