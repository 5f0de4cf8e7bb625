// SPDX-License-Identifier: GPL-2.0

//! Brings NVMe controllers up and down in parallel, and reports them in order.
//!
//! This is a PCI driver that starts every controller that it is given, asks it who it is (Identify
//! Controller), and shuts it down again. It offers no block devices; what it shows is how a driver
//! uses async domains, twice.
//!
//! Each controller's bring-up, which is mostly waiting, is one task of one domain. What can be seen
//! from outside (the controller's number, its line in the log) happens in the order in which the
//! controllers were probed, whichever was ready first: it is the task's *retire* part, which whichever
//! worker moves the frontier runs, so that no thread sleeps for the order.
//!
//! Each controller's shutdown, which on real ones takes seconds, is one task of another domain, when
//! the module is removed and before the machine reboots: the driver core would do one after another.
//! These tasks borrow from the frame that waits for them (a *scope*), and each waits for those before
//! it (`TaskContext::synchronize()`) before its line is written. A device that is unbound by itself is
//! shut down by itself. What this is worth on a real machine was reported with [patches that do it in
//! the driver core](http://lists.infradead.org/pipermail/linux-nvme/2025-June/057212.html): a shutdown
//! of 11 minutes became one of 55 seconds.
//!
//! # Giving it a controller
//!
//! The driver takes no device by itself, whatever its identity. It takes those that are given to it
//! by name, before or after the module is loaded:
//!
//! ```text
//! # echo nvme_bringup > /sys/bus/pci/devices/0000:00:04.0/driver_override
//! # insmod nvme_bringup.ko
//! ```
//!
//! A controller whose disk is in use is bound to another driver, and stays with it.
//!
//! # What it logs
//!
//! A line for each controller, in the order of probing. A controller that fails takes a number as
//! well, so that a number does not depend on whether the controllers before it work. Numbers are
//! not used twice as long as the module is loaded. Values are in double quotes, and contain neither
//! those nor anything that does not print. Times are in milliseconds with three decimals.
//!
//! ```text
//! nvme_bringup: nvme<N> <PCI address> serial="<SN>" model="<MN>" firmware="<FR>" (<time> ms)
//! nvme_bringup: nvme<N> <PCI address> failed: <phase>: <errno> (<reason>)
//! ```
//!
//! The phases are `capabilities`, `disable`, `enable` and `identify`; the errno is a name
//! such as `ETIMEDOUT`. The time is the controller's own, without its waiting for those before it.
//!
//! A line for each controller that is taken down, in the same order if it is all of them, says what its
//! registers read: CSTS.SHST at the end of its shutdown (2: complete; 0: it was not running), the
//! others when it was disabled. The phases are `shutdown` and `disable`.
//!
//! ```text
//! nvme_bringup: nvme<N> <PCI address> down: CSTS.SHST=2 CC.EN=0 CSTS.RDY=0 (<time> ms)
//! nvme_bringup: nvme<N> <PCI address> not down: <phase>: <errno> (<reason>)
//! ```
//!
//! When all controllers that were there at load time are up, and when all are down, a table follows.
//! The second line is the time from the first probe, or shutdown, to the last report. The one waiter of
//! the bring-up is the thread that loads the module, which waits for all; those of the take-down are
//! tasks that were ready before those in front of them.
//!
//! ```text
//! nvme_bringup: <bring-up|take-down> tasks <how many were submitted>
//! nvme_bringup: <bring-up|take-down> <parallel|serial> <time> ms
//! nvme_bringup: <bring-up|take-down> sum of the parts <time> ms
//! nvme_bringup: <bring-up|take-down> waiters <how often a thread slept for others to finish>
//! nvme_bringup: <bring-up|take-down> wakeups <how often one was woken>
//! nvme_bringup: <bring-up|take-down> spurious wakeups <how often that was too early>
//! ```
//!
//! # Parameters
//!
//! All are there to test and to demonstrate, do nothing unless given, and are logged if given.
//!
//! `fail=<index>` breaks the controller with this index in the order of probing, counted from 0:
//! the driver writes Identify into its queue, but does not ring the doorbell. The controller never
//! sees the command, and the wait for its answer runs into a time limit (200 ms instead of 10 s).
//!
//! `delay_ms=<time>` models the time that real controllers take to become ready, and emulated ones
//! do not: each is taken for ready by up to this much later. Of four controllers in a row the
//! first is the slowest, and those after it take three, two and one quarters of the time.
//!
//! `shutdown_ms=<time>` models in the same way, and with the same spread, the seconds that real
//! controllers take for their shutdown: CSTS.SHST is not looked at before that time has passed.
//!
//! `serial=1` does one controller after the other, to compare: each bring-up is waited for before the
//! next device is probed, and shutdowns are not scheduled, but run by the thread that wants them.

use kernel::{
    driver::Registration,
    pci,
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    },
    InPlaceModule,
    ModuleMetadata, //
};

#[path = "nvme_bringup/admin.rs"]
mod admin;
#[path = "nvme_bringup/controller.rs"]
mod controller;
#[path = "nvme_bringup/driver.rs"]
mod driver;
#[path = "nvme_bringup/failure.rs"]
mod failure;
#[path = "nvme_bringup/identity.rs"]
mod identity;
#[path = "nvme_bringup/injection.rs"]
mod injection;
#[path = "nvme_bringup/reboot.rs"]
mod reboot;
#[path = "nvme_bringup/registers.rs"]
mod registers;
#[path = "nvme_bringup/regs.rs"]
mod regs;
#[path = "nvme_bringup/report.rs"]
mod report;
#[path = "nvme_bringup/takedown.rs"]
mod takedown;

use driver::{
    NvmeDriver,
    BRING_UP, //
};
use injection::Injection;
use reboot::RebootNotifier;

module! {
    type: NvmeBringUp,
    name: "nvme_bringup",
    authors: ["The async_domain developers"],
    description: "Brings NVMe controllers up and down in parallel, and reports them in order",
    license: "GPL",
    params: {
        fail: i64 {
            default: -1,
            description: "Fault injection: index of a controller that is not told of its command",
        },
        delay_ms: u32 {
            default: 0,
            description: "Model of slow hardware: controllers are ready up to this many ms later",
        },
        shutdown_ms: u32 {
            default: 0,
            description: "Model of slow hardware: controllers are shut down up to this many ms later",
        },
        serial: bool {
            default: false,
            description: "To compare: one controller after the other, up and down",
        },
    },
}

/// The module: a registered driver, and what is told of a reboot.
#[pin_data(PinnedDrop)]
struct NvmeBringUp {
    _reboot: RebootNotifier,
    #[pin]
    driver: Registration<pci::Adapter<NvmeDriver>>,
}

impl InPlaceModule for NvmeBringUp {
    // Tested by: test nvme-takedown.
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: This is the init function, which is called once, and the driver and the notifier,
        // which use it, are not yet registered.
        unsafe { takedown::init() };
        Injection::announce();
        let start = Instant::<Monotonic>::now();

        try_pin_init!(Self {
            _reboot: RebootNotifier::new()?,
            driver <- Registration::new(<Self as ModuleMetadata>::NAME, module),
        })
        // Probing only submits. Loading is over when all have been reported, as with drivers that
        // use `async_synchronize_full()`.
        .pin_chain(move |_| {
            BRING_UP.synchronize(..)?;
            report::UP.summary(start.elapsed(), BRING_UP.stats());
            Ok(())
        })
    }
}

#[pinned_drop]
impl PinnedDrop for NvmeBringUp {
    /// Takes all controllers down at once. When the driver is unregistered, each is found down.
    fn drop(self: Pin<&mut Self>) {
        takedown::all();
    }
}
