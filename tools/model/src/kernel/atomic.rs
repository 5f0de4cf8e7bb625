// SPDX-License-Identifier: GPL-2.0

//! `kernel::sync::atomic`, of loom's atomics.

use super::world;
use loom::sync::atomic::{
    fence,
    AtomicU64,
    Ordering,
    Ordering::*, //
};
use std::{
    cell::Cell,
    rc::Rc, //
};

#[derive(Clone, Copy)]
pub enum Order {
    Relaxed,
    Acquire,
    Release,
    Full,
}

/// What fits into an atomic.
pub trait Bits: Copy {
    fn to_bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
}

macro_rules! bits {
    ($($t:ty),*) => {$(
        impl Bits for $t {
            fn to_bits(self) -> u64 { self as u64 }
            fn from_bits(bits: u64) -> Self { bits as $t }
        }
    )*};
}
bits!(u32, u64, usize, i32);

impl Bits for bool {
    fn to_bits(self) -> u64 {
        self.into()
    }
    fn from_bits(bits: u64) -> Self {
        bits != 0
    }
}

impl<T> Bits for *mut T {
    fn to_bits(self) -> u64 {
        self.expose_provenance() as u64
    }
    fn from_bits(bits: u64) -> Self {
        std::ptr::with_exposed_provenance_mut(bits as usize)
    }
}

/// An atomic: loom's is made when it is first used in an execution. In memory that comes and goes, this
/// counts as a write, so whoever makes something that others will see uses its atomics once. For what is
/// static, loom's was made when the execution began; it holds the difference to the initial value.
pub struct Atomic<T> {
    initial: T,
    /// The execution, and the number of loom's atomic in it.
    place: Cell<(u64, usize)>,
}

// SAFETY: Loom's threads run one at a time, on one thread.
unsafe impl<T> Sync for Atomic<T> {}
// SAFETY: As above.
unsafe impl<T> Send for Atomic<T> {}

impl<T: Bits> Atomic<T> {
    pub const fn new(initial: T) -> Self {
        Self {
            initial,
            place: Cell::new((0, 0)),
        }
    }

    fn inner(&self) -> Rc<AtomicU64> {
        let address = self as *const Self as usize;
        world::touch(address);
        world::atomic(&self.place, address)
    }

    fn encode(&self, value: T) -> u64 {
        value.to_bits().wrapping_sub(self.initial.to_bits())
    }

    fn decode(&self, bits: u64) -> T {
        T::from_bits(bits.wrapping_add(self.initial.to_bits()))
    }

    pub fn load(&self, order: Order) -> T {
        let order = match order {
            Order::Acquire => Acquire,
            _ => Relaxed,
        };
        self.decode(self.inner().load(order))
    }

    pub fn store(&self, value: T, order: Order) {
        let order = match order {
            Order::Release => Release,
            _ => Relaxed,
        };
        self.inner().store(self.encode(value), order);
    }

    /// A read-modify-write operation. `Full` is weaker here than in the kernel, where it is a full barrier
    /// too: what holds here holds there.
    fn rmw<R>(&self, order: Order, f: impl FnOnce(&AtomicU64, Ordering) -> R) -> R {
        let inner = self.inner();
        match order {
            Order::Relaxed => f(&inner, Relaxed),
            Order::Acquire => f(&inner, Acquire),
            Order::Release => f(&inner, Release),
            Order::Full => f(&inner, AcqRel),
        }
    }

    /// As the kernel's, this gives no order if it fails.
    pub fn cmpxchg(&self, old: T, new: T, order: Order) -> Result<T, T> {
        let inner = self.inner();
        let success = match order {
            Order::Relaxed => Relaxed,
            Order::Acquire => Acquire,
            Order::Release => Release,
            Order::Full => AcqRel,
        };
        inner
            .compare_exchange(self.encode(old), self.encode(new), success, Relaxed)
            .map(|bits| self.decode(bits))
            .map_err(|bits| self.decode(bits))
    }

    pub fn xchg(&self, new: T, order: Order) -> T {
        self.decode(self.rmw(order, |inner, order| inner.swap(self.encode(new), order)))
    }

    pub fn fetch_add(&self, n: T, order: Order) -> T {
        self.decode(self.rmw(order, |inner, order| inner.fetch_add(n.to_bits(), order)))
    }

    pub fn add(&self, n: T, order: Order) {
        self.fetch_add(n, order);
    }

    pub fn fetch_sub(&self, n: T, order: Order) -> T {
        self.decode(self.rmw(order, |inner, order| inner.fetch_sub(n.to_bits(), order)))
    }
}

/// `refcount_t`.
pub struct Refcount(Atomic<i32>);

impl Refcount {
    pub const fn new(n: i32) -> Self {
        Self(Atomic::new(n))
    }

    pub fn inc(&self) {
        assert!(
            self.0.fetch_add(1, Order::Relaxed) > 0,
            "a reference was taken where there was none"
        );
    }

    /// Release, and acquire if it is the last one.
    pub fn dec_and_test(&self) -> bool {
        let old = self.0.fetch_sub(1, Order::Release);
        assert!(old > 0, "a reference was dropped twice");
        if old == 1 {
            fence(Acquire);
        }
        old == 1
    }
}
