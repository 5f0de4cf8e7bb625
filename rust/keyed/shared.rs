// SPDX-License-Identifier: GPL-2.0

//! The table that all modules share.

use super::{
    Address,
    WaitTable, //
};
use core::ptr;
use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

/// As many queues as the kernel's own shared table has.
const BUCKETS: usize = 256;

/// The table while the module is loaded, null before and after.
///
/// It is not read at other times: consumers depend on this module, so that they are loaded after
/// its init function and unloaded before its exit function.
static SHARED: Atomic<*mut WaitTable<Address>> = Atomic::new(ptr::null_mut());

/// Owns the shared table.
pub(crate) struct SharedTable(());

impl SharedTable {
    /// Allocates the table; fails with `ENOMEM`. There can only be one at a time.
    pub(crate) fn new() -> Result<Self> {
        let table = crate::new_wait_table!(BUCKETS, GFP_KERNEL, "async_domain_shared")?;

        SHARED.store(KBox::into_raw(KBox::new(table, GFP_KERNEL)?), Relaxed);
        Ok(Self(()))
    }
}

impl Drop for SharedTable {
    // Tested by: kunit shared_table_tells_resources_apart.
    fn drop(&mut self) {
        let table = SHARED.xchg(ptr::null_mut(), kernel::sync::atomic::ordering::Full);

        // SAFETY: The pointer comes from the box that `new` made, and is used by nobody any more:
        // the modules that could are gone.
        drop(unsafe { KBox::from_raw(table) });
    }
}

/// The table that all modules can share, whose keys are [`Address`]es (C's `bit_wait_table`).
///
/// A table of one's own is better where many threads wait at the same time: strangers that share a
/// queue are never woken for each other, but they take each other's lock, and walk past each other.
///
/// # Examples
///
/// ```
/// use async_domain::{keyed::{shared, Address}, WaitMode};
/// use kernel::sync::atomic::{ordering::Relaxed, Atomic};
///
/// struct Request {
///     done: Atomic<bool>,
/// }
///
/// fn complete(request: &Request) {
///     shared().wake_up(Address::of(request), || request.done.store(true, Relaxed));
/// }
///
/// fn wait_for(request: &Request) -> Result {
///     shared().wait_event(Address::of(request), WaitMode::KILLABLE, || {
///         request.done.load(Relaxed)
///     })
/// }
///
/// let request = KBox::new(Request { done: Atomic::new(false) }, GFP_KERNEL)?;
/// complete(&request);
/// wait_for(&request)?;
/// # Ok::<(), Error>(())
/// ```
#[inline]
// Tested by: kunit shared_table_tells_resources_apart.
pub fn shared() -> &'static WaitTable<Address> {
    // SAFETY: The table exists while any consumer can call this, and is only used through shared
    // references.
    unsafe { &*SHARED.load(Relaxed) }
}
