// SPDX-License-Identifier: GPL-2.0

//! Brings NVMe controllers up in parallel, and reports them in order.
//!
//! This is a PCI driver that starts every controller that it is given, asks it who it is (Identify
//! Controller), and shuts it down again on removal. It offers no block devices; what it shows is
//! how a driver uses an async domain. Each controller's bring-up, which is mostly waiting, is one
//! task of one domain. What can be seen from outside (the controller's number, its line in the log)
//! happens in the order in which the controllers were probed, whichever was ready first: it is the
//! task's *retire* part, which whichever worker moves the frontier runs, so that no thread sleeps for
//! the order.
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
//! When all controllers that were there at load time are reported, a table follows. Its time in
//! parallel is that from the first probe to the last report. Its one waiter is the thread that loads
//! the module, which waits for all.
//!
//! ```text
//! nvme_bringup: tasks <how many bring-ups were submitted>
//! nvme_bringup: parallel <time> ms
//! nvme_bringup: sum of the parts <time> ms
//! nvme_bringup: waiters <how often a thread slept for others to finish>
//! nvme_bringup: wakeups <how often one was woken>
//! nvme_bringup: wakeups in vain <how often that was too early>
//! ```
//!
//! # Parameters
//!
//! Both are there to test and to demonstrate, do nothing unless given, and are logged if given.
//!
//! `fail=<index>` breaks the controller with this index in the order of probing, counted from 0:
//! the driver writes Identify into its queue, but does not ring the doorbell. The controller never
//! sees the command, and the wait for its answer runs into a time limit (200 ms instead of 10 s).
//!
//! `delay_ms=<time>` models the time that real controllers take to become ready, and emulated ones
//! do not: each is taken for ready by up to this much later. Of four controllers in a row the
//! first is the slowest, and those after it take three, two and one quarters of the time.

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
#[path = "nvme_bringup/registers.rs"]
mod registers;
#[path = "nvme_bringup/regs.rs"]
mod regs;
#[path = "nvme_bringup/report.rs"]
mod report;

use driver::{
    NvmeDriver,
    BRING_UP, //
};
use injection::Injection;

module! {
    type: NvmeBringUp,
    name: "nvme_bringup",
    authors: ["The async_domain developers"],
    description: "Brings NVMe controllers up in parallel, and reports them in order",
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
    },
}

/// The module: a registered driver.
#[pin_data]
struct NvmeBringUp {
    #[pin]
    driver: Registration<pci::Adapter<NvmeDriver>>,
}

impl InPlaceModule for NvmeBringUp {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        Injection::announce();
        let start = Instant::<Monotonic>::now();

        try_pin_init!(Self {
            driver <- Registration::new(<Self as ModuleMetadata>::NAME, module),
        })
        // Probing only submits. Loading is over when all have been reported, as with drivers that
        // use `async_synchronize_full()`.
        .pin_chain(move |_| {
            BRING_UP.synchronize_full()?;
            report::summary(start.elapsed(), BRING_UP.stats());
            Ok(())
        })
    }
}
