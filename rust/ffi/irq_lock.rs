// SPDX-License-Identifier: GPL-2.0

//! A lock that is taken with interrupts off, and the data that it protects.
//!
//! For locks that the kernel crate has no type for: that of a wait queue, and static ones, which C initialises.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)

use crate::ffi;
use core::{
    cell::UnsafeCell,
    ops::{
        Deref,
        DerefMut, //
    },
};
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// What a `spinlock_t` is; with `PREEMPT_RT` it sleeps.
#[cfg(CONFIG_PREEMPT_RT)]
pub(crate) type SpinLock = ffi::spinlock_t;
/// What a `spinlock_t` is.
#[cfg(not(CONFIG_PREEMPT_RT))]
pub(crate) type SpinLock = ffi::raw_spinlock_t;

/// A kind of spinlock.
///
/// # Safety
///
/// From [`lock`](Self::lock) to [`unlock`](Self::unlock) no other context may get the lock.
pub(crate) unsafe trait RawLock {
    /// Takes the lock and turns interrupts off.
    ///
    /// # Safety
    ///
    /// `this` must point to an initialised lock.
    unsafe fn lock(this: *mut Self) -> c_ulong;

    /// Releases the lock and restores interrupts.
    ///
    /// # Safety
    ///
    /// The caller must hold the lock, by the [`lock`](Self::lock) that returned `flags`.
    unsafe fn unlock(this: *mut Self, flags: c_ulong);
}

// SAFETY: A raw spinlock excludes other CPUs, and interrupts are off on this one.
// Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
unsafe impl RawLock for ffi::raw_spinlock_t {
    #[inline(always)]
    // Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
    unsafe fn lock(this: *mut Self) -> c_ulong {
        // SAFETY: The lock is initialised.
        unsafe { ffi::raw_spin_lock_irqsave(this) }
    }

    #[inline(always)]
    // Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
    unsafe fn unlock(this: *mut Self, flags: c_ulong) {
        // SAFETY: This context holds the lock, and saved these flags when it took it.
        unsafe { ffi::raw_spin_unlock_irqrestore(this, flags) }
    }
}

#[cfg(CONFIG_PREEMPT_RT)]
// SAFETY: A spinlock excludes other threads, and cannot be taken in a hard interrupt.
// Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
unsafe impl RawLock for ffi::spinlock_t {
    #[inline(always)]
    // Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
    unsafe fn lock(this: *mut Self) -> c_ulong {
        // SAFETY: The lock is initialised.
        unsafe { ffi::spin_lock_irqsave(this) }
    }

    #[inline(always)]
    // Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
    unsafe fn unlock(this: *mut Self, flags: c_ulong) {
        // SAFETY: This context holds the lock, and saved these flags when it took it.
        unsafe { ffi::spin_unlock_irqrestore(this, flags) }
    }
}

/// What has a lock in it.
///
/// # Safety
///
/// [`as_ptr`](Self::as_ptr) must always return the same lock, which is initialised whenever an [`IrqLock`] with
/// this in it is shared.
pub(crate) unsafe trait HasLock {
    /// The kind of the lock.
    type Lock: RawLock;

    /// The lock.
    fn as_ptr(&self) -> *mut Self::Lock;
}

/// A static lock, which C defines.
pub(crate) struct StaticLock<L>(*mut L);

impl StaticLock<SpinLock> {
    /// # Safety
    ///
    /// `lock` must be a static lock that is initialised at compile time.
    pub(crate) const unsafe fn spin(lock: *mut ffi::spinlock_t) -> Self {
        Self(lock.cast())
    }
}

impl StaticLock<ffi::raw_spinlock_t> {
    /// # Safety
    ///
    /// `lock` must be a static lock that is initialised at compile time.
    pub(crate) const unsafe fn raw(lock: *mut ffi::raw_spinlock_t) -> Self {
        Self(lock)
    }
}

// SAFETY: By the safety requirements of `spin` and `raw`.
// Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
unsafe impl<L: RawLock> HasLock for StaticLock<L> {
    type Lock = L;

    #[inline(always)]
    fn as_ptr(&self) -> *mut L {
        self.0
    }
}

/// Makes an [`IrqLock`], for a static, of a lock in `helpers.c`, a `spin` or a `raw` one, and its data.
// Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
macro_rules! static_irq_lock {
    ($kind:ident $lock:ident, $data:expr) => {{
        // SAFETY: The locks in `helpers.c` are static, and initialised by `DEFINE_SPINLOCK()`.
        let lock = unsafe { $crate::ffi::irq_lock::StaticLock::$kind(&raw mut $crate::ffi::$lock) };

        $crate::ffi::irq_lock::IrqLock::new(lock, $data)
    }};
}
pub(crate) use static_irq_lock;

/// A static lock and its data.
pub(crate) type StaticIrqLock<T> = IrqLock<StaticLock<SpinLock>, T>;

/// A static raw lock and its data.
pub(crate) type StaticRawIrqLock<T> = IrqLock<StaticLock<ffi::raw_spinlock_t>, T>;

/// A lock, by way of `P`, and its data.
///
/// # Invariants
///
/// `data` is touched by the context only that holds the lock, through the one [`Guard`] that it has.
pub(crate) struct IrqLock<P, T> {
    place: P,
    #[cfg(not(any(CONFIG_SMP, CONFIG_PREEMPT_RT)))]
    held: core::cell::Cell<bool>,
    data: UnsafeCell<T>,
}

// SAFETY: By the type invariant, and since the lock may be taken by any thread.
// Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
unsafe impl<P: HasLock, T: Send> Sync for IrqLock<P, T> {}

impl<P, T> IrqLock<P, T> {
    /// Makes a lock that nobody holds.
    #[inline]
    pub(crate) const fn new(place: P, data: T) -> Self {
        Self {
            place,
            #[cfg(not(any(CONFIG_SMP, CONFIG_PREEMPT_RT)))]
            held: core::cell::Cell::new(false),
            data: UnsafeCell::new(data),
        }
    }

    /// What has the lock in it.
    #[inline(always)]
    pub(crate) fn place(&self) -> &P {
        &self.place
    }
}

impl<P: HasLock, T> IrqLock<P, T> {
    /// Runs `f` with the lock held and interrupts off. The lock is not recursive.
    #[inline]
    // Tested by: compile-fail locked_escapes, compile-fail locked_in_other_thread.
    pub(crate) fn with<R>(&self, f: impl FnOnce(Guard<'_, P, T>) -> R) -> R {
        // SAFETY: A lock that is shared is initialised.
        let flags = unsafe { P::Lock::lock(self.place.as_ptr()) };
        #[cfg(not(any(CONFIG_SMP, CONFIG_PREEMPT_RT)))]
        self.set_held(true);
        // INVARIANT: This context holds the lock, and had no guard: it would still have the lock. The guard's
        // lifetime keeps it within `f`.
        let ret = f(Guard {
            lock: self,
            _not_send: NotThreadSafe,
        });
        #[cfg(not(any(CONFIG_SMP, CONFIG_PREEMPT_RT)))]
        self.set_held(false);
        // SAFETY: The lock was taken above, by this context, and the guard is gone. As the lock is taken for the
        // length of a call only, the flags are restored last in, first out.
        unsafe { P::Lock::unlock(self.place.as_ptr(), flags) };
        ret
    }

    /// On one CPU a spinlock only turns interrupts off: taken twice it would not deadlock, but give out the
    /// data twice.
    #[cfg(not(any(CONFIG_SMP, CONFIG_PREEMPT_RT)))]
    fn set_held(&self, held: bool) {
        assert!(
            !(self.held.replace(held) && held),
            "a lock was taken by the context that holds it"
        );
    }
}

/// Access to the data of an [`IrqLock`] that the current context holds.
pub(crate) struct Guard<'a, P, T> {
    lock: &'a IrqLock<P, T>,
    _not_send: NotThreadSafe,
}

impl<P, T> Guard<'_, P, T> {
    /// What has the lock in it.
    #[inline(always)]
    pub(crate) fn place(&self) -> &P {
        &self.lock.place
    }
}

impl<P, T> Deref for Guard<'_, P, T> {
    type Target = T;

    #[inline(always)]
    // Tested by: compile-fail locked_escapes, compile-fail locked_in_other_thread.
    fn deref(&self) -> &T {
        // SAFETY: The lock is held as long as there is a guard, of which there is one.
        unsafe { &*self.lock.data.get() }
    }
}

impl<P, T> DerefMut for Guard<'_, P, T> {
    #[inline(always)]
    // Tested by: compile-fail locked_escapes, compile-fail locked_in_other_thread.
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is held as long as there is a guard, of which there is one, borrowed exclusively.
        unsafe { &mut *self.lock.data.get() }
    }
}
