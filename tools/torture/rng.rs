// SPDX-License-Identifier: GPL-2.0

//! The generator that makes all choices: SplitMix64, whose whole state is its seed.

use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// A sequence of numbers that looks random, and is always the same for a seed.
#[derive(Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A generator of its own for one operation: how many numbers that takes, which depends on what
    /// it meets, does not change the choices after it.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        // CAST: The result is below `n`.
        (((self.next() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// A number from `first` to `last`.
    pub(crate) fn range(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }

    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// A place in a list of this length, which is not 0.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        // CAST: Lists are short.
        self.below(len as u32) as usize
    }

    /// Flags for an allocation: where both will do, sometimes those that may not sleep.
    pub(crate) fn flags(&mut self) -> Flags {
        if self.one_in(4) {
            GFP_ATOMIC
        } else {
            GFP_KERNEL
        }
    }

    /// Changes the order of a list.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            let other = self.index(i + 1);
            list.swap(i, other);
        }
    }
}

/// Spreads the bits of a number.
pub(crate) const fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
