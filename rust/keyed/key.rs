// SPDX-License-Identifier: GPL-2.0

//! Keys, and the hash that spreads them over a table.

use core::{
    any::TypeId,
    hash::{
        Hash,
        Hasher, //
    },
    ptr, //
};

/// What names a resource in a [`WaitTable`](super::WaitTable).
///
/// Every small type that can be copied, compared and hashed is one: integers, [`Address`]es, tuples
/// of them, structures that derive the four traits.
///
/// Keys are compared under the lock of a wait queue with interrupts off. [`Eq`] must only compare,
/// and agree with [`Hash`] as usual: otherwise wake-ups are lost.
///
/// # Examples
///
/// ```
/// use async_domain::{keyed::{Key, WaitTable}, new_wait_table};
///
/// #[derive(Clone, Copy, PartialEq, Eq, Hash)]
/// struct Block {
///     disk: u32,
///     sector: u64,
/// }
///
/// fn release<K: Key>(table: &WaitTable<K>, key: K) {
///     table.wake_up(key, || ());
/// }
///
/// let blocks = new_wait_table!(16, GFP_KERNEL, "blocks")?;
/// release(&blocks, Block { disk: 0, sector: 17 });
/// # Ok::<(), Error>(())
/// ```
pub trait Key: Copy + Eq + Hash + Send + Sync {}

impl<K: Copy + Eq + Hash + Send + Sync> Key for K {}

/// The address of a resource as a key, with its type and a number.
///
/// The type keeps a structure and its first field apart, which have the same address: a wake-up is a
/// grant, so that one of a stranger must not be taken for one's own. The number is for resources of
/// which there are many behind one address, such as the bits of a word or the blocks of a device.
///
/// An address names a resource only while it is there, and does not move; and things that take up no
/// memory may all have the same one.
///
/// # Examples
///
/// ```
/// use async_domain::keyed::Address;
///
/// struct Device {
///     slots: u32,
/// }
///
/// let device = KBox::new(Device { slots: 0 }, GFP_KERNEL)?;
///
/// assert_eq!(Address::of(&*device), Address::of(&*device));
/// assert_ne!(Address::of(&*device), Address::of(&device.slots));
/// assert_ne!(Address::of(&*device).index(1), Address::of(&*device).index(2));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    address: usize,
    index: u64,
    type_id: TypeId,
}

impl Address {
    /// The address of a resource, with the number 0.
    #[inline]
    pub fn of<T: 'static>(resource: &T) -> Self {
        Self {
            address: ptr::from_ref(resource).addr(),
            index: 0,
            type_id: TypeId::of::<T>(),
        }
    }

    /// The same address with another number.
    #[inline]
    #[must_use]
    pub const fn index(self, index: u64) -> Self {
        Self { index, ..self }
    }
}

/// Spreads keys: each word is added and multiplied with 2^64 divided by the golden ratio, as
/// `hash_64()` does in [`include/linux/hash.h`](srctree/include/linux/hash.h), of which the high
/// bits are good.
struct Mix(u64);

impl Mix {
    #[inline]
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mix {
    #[inline]
    fn finish(&self) -> u64 {
        self.0 >> 32
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.add(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.add(word.into());
    }

    #[inline]
    fn write_u16(&mut self, word: u16) {
        self.add(word.into());
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.add(word.into());
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        // CAST: No wider than 64 bits.
        self.add(word as u64);
    }
}

/// A number below 2^32 that depends on all of the key.
#[inline]
pub(super) fn hash<K: Key>(key: &K) -> usize {
    let mut mix = Mix(0);

    key.hash(&mut mix);
    // CAST: It is below 2^32.
    mix.finish() as usize
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kernel::prelude::kunit_tests(async_domain_key)]
mod tests {
    use super::*;
    use kernel::prelude::*;

    /// The size of the largest of 256 buckets.
    fn largest<K: Key>(keys: impl Iterator<Item = K>) -> Result<u32> {
        let mut sizes = KVec::from_elem(0_u32, 256, GFP_KERNEL)?;

        for key in keys {
            sizes[hash(&key) & 255] += 1;
        }
        Ok(sizes.iter().copied().max().unwrap_or(0))
    }

    #[test]
    fn common_keys_are_spread() -> Result {
        // 16 in each bucket would be perfect, and chance gives about 30 in the largest one.
        assert!(largest(0..4096_u32)? <= 32);
        assert!(largest(0..4096_i64)? <= 32);
        assert!(largest((0..4096_usize).map(|i| i * 4096))? <= 32);
        assert!(largest((0..4096_u64).map(|i| (i / 64, i % 64)))? <= 48);

        let blocks = KVec::from_elem(0_u64, 4096, GFP_KERNEL)?;
        assert!(largest(blocks.iter().map(Address::of))? <= 48);
        let device = Address::of(&blocks[0]);
        assert!(largest((0..4096).map(|i| device.index(i)))? <= 48);
        Ok(())
    }

    #[test]
    fn addresses_tell_a_structure_from_its_first_field() {
        struct Outer {
            inner: u32,
        }
        let outer = Outer { inner: 0 };

        assert_eq!(Address::of(&outer), Address::of(&outer));
        assert_eq!(hash(&Address::of(&outer)), hash(&Address::of(&outer)));
        assert_ne!(Address::of(&outer), Address::of(&outer.inner));
        assert_ne!(Address::of(&outer), Address::of(&outer).index(1));
    }

    #[test]
    fn bytes_are_hashed_by_their_words() {
        let mut words = [0; 2];
        for (word, end) in words.iter_mut().zip([11, 12]) {
            let mut mix = Mix(0);
            mix.write(&b"filtered_wakeups"[..end]);
            *word = mix.finish();
        }
        assert_ne!(words[0], words[1]);
    }
}
