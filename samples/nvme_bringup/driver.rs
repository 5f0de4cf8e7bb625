// SPDX-License-Identifier: GPL-2.0

//! The PCI driver: one task of one domain for each controller.

use super::{
    controller::Controller,
    failure::{
        Failure,
        Phase, //
    },
    identity::Identity,
    injection::Injection,
    report,
    takedown, //
};
use async_domain::{
    Cookie,
    Submit, //
};
use core::convert::Infallible;
use kernel::{
    device::Core,
    dma::{
        Device as _,
        DmaMask, //
    },
    pci,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};

async_domain::static_domain!(
    /// Bring-ups, in the order in which the controllers were probed.
    pub(crate) static BRING_UP
);

/// How many controllers were probed.
static PROBED: Atomic<u32> = Atomic::new(0);

/// The driver.
pub(crate) struct NvmeDriver;

/// What the driver keeps for a device that it is bound to.
#[pin_data]
pub(crate) struct Binding {
    controller: Arc<Controller>,
    task: Cookie,
}

// The table is empty, so that nothing but `driver_override` makes the driver and a device match
// (`pci_match_device()` in drivers/pci/pci-driver.c):
//
// - no device's own identity matches an entry;
// - no dynamic identity can be added: `new_id_store()` only accepts one whose driver data equals
//   that of an entry of the table, and refuses all where there is a table without entries;
// - a device whose `driver_override` is this driver's name matches always, and comes with
//   `pci_device_id_any`, which has no driver data.
//
// The type says the same: there is no value that an entry could refer to, and `probe` can only be
// called with `None`.
kernel::pci_device_table!(PCI_TABLE, <NvmeDriver as pci::Driver>::IdInfo, []);

impl pci::Driver for NvmeDriver {
    type IdInfo = Infallible;
    type Data<'bound> = Binding;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    // Tested by: test nvme-failure.
    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        // In a scope, so that the memory for `Binding` is there before any of this happens: nothing
        // can fail once the task is submitted.
        pin_init::pin_init_scope(move || {
            // Whoever sets `driver_override` can mistake the address.
            if pdev.pci_class() != pci::Class::STORAGE_EXPRESS {
                dev_err!(pdev, "class {:?}: no NVMe controller\n", pdev.pci_class());
                return Err(ENODEV);
            }

            pdev.enable_device_mem()?;
            pdev.set_master();

            // Whatever takes an address of memory (ASQ, ACQ, PRP entries) has 64 bits.
            //
            // SAFETY: The device is being probed, so that no other driver allocates or maps DMA
            // memory for it at the same time, and this one does so below, in the same thread.
            unsafe { pdev.dma_set_mask_and_coherent(DmaMask::new::<64>())? };

            let index = PROBED.fetch_add(1, Relaxed);
            let controller = Controller::new(pdev, Injection::of(index))?;
            let controller = Arc::new(controller, GFP_KERNEL)?;

            let (to_start, to_report) = (controller.clone(), controller.clone());
            let task = takedown::enter(&controller, || {
                Ok(BRING_UP.schedule_ordered(
                    GFP_KERNEL,
                    // In parallel with the others.
                    move |_| bring_up(&to_start),
                    // Visible from outside, and so in the order of the cookies.
                    move |(result, elapsed), _| report::brought_up(&to_report, &result, elapsed),
                )?)
            })?;

            if Injection::serial() {
                // It cannot fail: no task of the domain probes a device.
                let _ = BRING_UP.synchronize(..=task);
            }
            Ok(try_pin_init!(Binding { controller, task }))
        })
    }

    fn unbind<'bound>(pdev: &'bound pci::Device<Core<'_>>, this: Pin<&Self::Data<'bound>>) {
        let controller = &this.controller;
        let down = takedown::leave(controller);

        // This cannot fail, since no task of the domain unbinds a device. If it did, the task would
        // find its registers gone, but the controller would keep its memory.
        if let Err(error) = BRING_UP.synchronize(..=this.task) {
            dev_err!(pdev, "cannot wait for the bring-up: {:?}\n", error);
            core::mem::forget(controller.clone());
            return;
        }

        // The task is done, and so is its reference to the controller, and that of the list: the one
        // in `this` is the last. It is dropped after this function, while the device still is allowed
        // to own DMA memory, which `Coherent` does not enforce by itself.
        if !down && !takedown::one(controller) {
            dev_err!(pdev, "cannot be stopped, its memory stays allocated\n");
            core::mem::forget(controller.clone());
        }
    }
}

/// The part of a task that runs in parallel: starts `controller`. Returns what came of it, and how
/// long it took.
fn bring_up(controller: &Arc<Controller>) -> (Result<Identity, Failure>, Delta) {
    let start = Instant::<Monotonic>::now();
    let result = controller.bring_up();

    if matches!(&result, Err(failure) if failure.phase >= Phase::Enable) {
        halt(controller);
    }
    (result, start.elapsed())
}

/// Stops `controller`, or sees to it that its memory is never used for anything else.
fn halt(controller: &Arc<Controller>) {
    if let Err(failure) = controller.halt() {
        pr_err!(
            "{}: cannot be stopped, its memory stays allocated: {}\n",
            controller.name(),
            failure
        );
        core::mem::forget(controller.clone());
    }
}
