// SPDX-License-Identifier: GPL-2.0

//! Tasks of a bound device: unbinding waits for them, so that they may use the device without checks.

use async_domain::DeviceDomain;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    devres::Devres,
    faux,
    prelude::*,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta, //
    },
};

module! {
    type: Driver,
    name: "device_domain",
    authors: ["The async_domain developers"],
    description: "Device sample of async_domain",
    license: "GPL",
}

/// A device, which is removed with the module. The handle of its domain was leaked: this does no harm,
/// since removing the device waits for the tasks.
struct Driver {
    _device: faux::Registration,
}

/// What a driver maps: usable while the device is bound.
struct Registers {
    id: u32,
}

fn probe(dev: &Device<Bound>) -> Result {
    let registers = Arc::new(
        Devres::<Registers>::new(dev, Ok::<_, Error>(Registers { id: 0x1234 }))?,
        GFP_KERNEL,
    )?;
    let domain = DeviceDomain::new(dev)?;

    domain.schedule_with_device(GFP_KERNEL, move |_, dev| {
        fsleep(Delta::from_millis(200));
        // No guard, no RCU: the device is bound as long as this runs.
        match registers.access(dev) {
            Ok(registers) => dev_info!(dev, "its registers say {:#x}\n", registers.id),
            Err(e) => dev_err!(dev, "these are not its registers: {e:?}\n"),
        }
    })?;
    // A driver keeps it in its private data. This one is careless.
    core::mem::forget(domain);
    Ok(())
}

impl kernel::Module for Driver {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let device = faux::Registration::new(c"async_domain_sample", None)?;
        let bound: &faux::Device<Bound> = device.as_ref();

        probe(bound.as_ref())?;
        Ok(Self { _device: device })
    }
}
