// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! A task of a `DeviceDomain` drops the last handle of it, as the device is being unbound.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::DeviceDomain;
use kernel::{
    device,
    faux, //
};
use lib::*;

attack!("device_dropped_in_task");

fn attack() -> Result {
    for round in 0..30 {
        let ended = Count::new()?;
        let registration = faux::Registration::new(c"device_dropped", None)?;
        let faux: &faux::Device<device::Bound> = registration.as_ref();
        let dev: &device::Device<device::Bound> = faux.as_ref();
        let domain = Arc::new(DeviceDomain::new(dev)?, GFP_KERNEL)?;
        let begun = Gate::new()?;

        let (d, e, b) = (domain.clone(), ended.clone(), begun.clone());
        domain.schedule_with_device(GFP_KERNEL, move |context, dev| {
            b.open();
            pause(round % 5);
            drop(d);
            let device = context.device().map(|same| core::ptr::eq(same, dev));
            e.add((device == Some(true)).into());
        })?;
        begun.wait();
        drop(domain);
        drop(registration);
        check_eq!(ended.get(), 1);
    }
    Ok(())
}
