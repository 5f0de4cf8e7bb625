// SPDX-License-Identifier: GPL-2.0

//! A first-in, first-out buffer of fixed capacity, without a lock or waiters.

use core::{
    cmp,
    mem::MaybeUninit,
    ptr, //
};
use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// Values in the order in which they came, at most as many as the buffer was made for.
///
/// # Invariants
///
/// - `slots.len()` is not 0, `head < slots.len()` and `len <= slots.len()`.
/// - The `len` slots from `head` on, the first one following the last one, are initialised.
pub(super) struct Buffer<T: Copy> {
    slots: KVVec<MaybeUninit<T>>,
    head: usize,
    len: usize,
}

impl<T: Copy> Buffer<T> {
    /// Allocates an empty buffer. Fails with `EINVAL` if the capacity is 0, and with `ENOMEM`.
    pub(super) fn new(capacity: usize, flags: Flags) -> Result<Self> {
        if capacity == 0 {
            return Err(EINVAL);
        }
        // INVARIANT: The capacity is not 0, and no slot needs to be initialised.
        Ok(Self {
            slots: KVVec::from_elem(MaybeUninit::uninit(), capacity, flags)?,
            head: 0,
            len: 0,
        })
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends all of the values, or none and returns `false` if there is no room for all.
    #[inline]
    // Tested by: mutant ring-overwrites, kunit full_buffer_takes_nothing_and_loses_nothing.
    pub(super) fn push_all(&mut self, values: &[T]) -> bool {
        if values.len() > self.capacity() - self.len {
            return false;
        }

        let tail = self.wrap(self.head, self.len);
        let first = cmp::min(values.len(), self.capacity() - tail);
        let slots = self.slots.as_mut_ptr().cast::<T>();
        // SAFETY: There is room for all values behind the tail, `first` of them up to the end of
        // the slots, the rest from their beginning. The slots are ours alone: they do not overlap
        // with the values.
        unsafe {
            ptr::copy_nonoverlapping(values.as_ptr(), slots.add(tail), first);
            ptr::copy_nonoverlapping(values.as_ptr().add(first), slots, values.len() - first);
        }
        // INVARIANT: The slots behind the tail have just been initialised, and there was room.
        self.len += values.len();
        true
    }

    /// Moves up to `nr` values out, the oldest one first; returns how many.
    ///
    /// # Safety
    ///
    /// `out` must be valid for writing `nr` values.
    #[inline]
    // Tested by: mutant ring-overwrites, kunit full_buffer_takes_nothing_and_loses_nothing.
    pub(super) unsafe fn pop_into(&mut self, out: *mut T, nr: usize) -> usize {
        let nr = cmp::min(nr, self.len);
        let first = cmp::min(nr, self.capacity() - self.head);
        let slots = self.slots.as_ptr().cast::<T>();

        // SAFETY: By the type invariant `len` slots from the head on are initialised, `first` of
        // them up to the end of the slots, the rest from their beginning. `out` has room for them
        // by the caller's promise, and does not overlap with the slots, which nobody else has.
        unsafe {
            ptr::copy_nonoverlapping(slots.add(self.head), out, first);
            ptr::copy_nonoverlapping(slots, out.add(first), nr - first);
        }
        // INVARIANT: What is left are the slots behind those that were moved out.
        self.head = self.wrap(self.head, nr);
        self.len -= nr;
        nr
    }

    /// The slot that is `distance` behind another one, the first one following the last one.
    /// `slot` is below the capacity, `distance` not above it.
    #[inline]
    fn wrap(&self, slot: usize, distance: usize) -> usize {
        let to_end = self.capacity() - slot;

        if distance < to_end {
            slot + distance
        } else {
            distance - to_end
        }
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_threshold_buffer)]
mod tests {
    use super::*;

    fn pop<const N: usize>(buffer: &mut Buffer<u32>) -> (usize, [u32; N]) {
        let mut out = [u32::MAX; N];
        // SAFETY: There is room for as many.
        let nr = unsafe { buffer.pop_into(out.as_mut_ptr(), N) };
        (nr, out)
    }

    #[test]
    fn full_buffer_takes_nothing_and_loses_nothing() -> Result {
        let mut buffer = Buffer::new(3, GFP_KERNEL)?;

        assert!(buffer.push_all(&[1, 2]));
        // All or none.
        assert!(!buffer.push_all(&[3, 4]));
        assert_eq!(buffer.len(), 2);
        assert!(buffer.push_all(&[3]));
        assert!(!buffer.push_all(&[4]));
        assert!(buffer.push_all(&[]));
        assert_eq!(pop(&mut buffer), (3, [1, 2, 3, u32::MAX]));
        assert_eq!(pop(&mut buffer), (0, [u32::MAX]));
        assert!(Buffer::<u32>::new(0, GFP_KERNEL).is_err());
        Ok(())
    }

    #[test]
    fn wraps_around_at_every_place() -> Result {
        // Every capacity, and in it every length of what is put in and taken out at every head.
        for capacity in 1..=5 {
            let mut buffer = Buffer::new(capacity, GFP_KERNEL)?;
            let (mut next, mut expected) = (0_u32, 0_u32);

            for step in 0..200 {
                let values = [next, next + 1, next + 2, next + 3, next + 4];
                let put = step % (capacity + 1);
                if buffer.push_all(&values[..put]) {
                    next += put as u32;
                }
                let (nr, out) = pop::<2>(&mut buffer);
                for value in &out[..nr] {
                    assert_eq!(*value, expected);
                    expected += 1;
                }
            }
            assert!(expected > 60);
            assert_eq!((next - expected) as usize, buffer.len());
        }
        Ok(())
    }
}
