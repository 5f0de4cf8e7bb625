// SPDX-License-Identifier: GPL-2.0

//! Being told that the machine is about to go down, for which the kernel crate has nothing yet.
//!
//! C header: [`include/linux/reboot.h`](srctree/include/linux/reboot.h)

use super::takedown;
use kernel::{
    bindings::{
        notifier_block,
        NOTIFY_OK, //
    },
    error::to_result,
    prelude::*,
    types::Opaque, //
};

extern "C" {
    // As in the header. The kernel's bindings do not have them.
    fn register_reboot_notifier(block: *mut notifier_block) -> c_int;
    fn unregister_reboot_notifier(block: *mut notifier_block) -> c_int;
}

/// Takes all controllers down before the machine reboots, halts, or is switched off; unregistered on
/// drop.
pub(crate) struct RebootNotifier(Pin<KBox<Opaque<notifier_block>>>);

// SAFETY: The notifier block is only touched by the kernel's notifier chain, which has a lock.
// Tested by: test nvme-takedown.
unsafe impl Send for RebootNotifier {}
// SAFETY: As above; nothing can be done through a shared reference.
// Tested by: test nvme-takedown.
unsafe impl Sync for RebootNotifier {}

impl RebootNotifier {
    /// Registers; fails with `ENOMEM`, or as `register_reboot_notifier()` does.
    // Tested by: test nvme-takedown.
    pub(crate) fn new() -> Result<Self> {
        let block = KBox::pin(
            Opaque::new(notifier_block {
                notifier_call: Some(Self::call),
                ..pin_init::zeroed()
            }),
            GFP_KERNEL,
        )?;

        // SAFETY: The block is initialised, pinned on the heap, and lives until `drop` has taken it
        // off the chain.
        to_result(unsafe { register_reboot_notifier(block.get()) })?;
        Ok(Self(block))
    }

    /// Is called in process context. The devices are still bound: what `device_shutdown()` does comes
    /// after the notifiers.
    // Tested by: test nvme-takedown.
    extern "C" fn call(_block: *mut notifier_block, _action: c_ulong, _data: *mut c_void) -> c_int {
        takedown::all();
        // CAST: The constants are small.
        NOTIFY_OK as c_int
    }
}

impl Drop for RebootNotifier {
    // Tested by: test nvme-takedown.
    fn drop(&mut self) {
        // SAFETY: The block was registered by `new`. Unregistering waits for a running callback.
        unsafe { unregister_reboot_notifier(self.0.get()) };
    }
}
