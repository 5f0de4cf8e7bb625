// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! A `DeviceDomain` is leaked, with tasks that are queued and run. They end before the binding does, and the domain is
//! of no use afterwards.

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

attack!("device_leaked");

fn attack() -> Result {
    let (began, ended) = (Count::new()?, Count::new()?);
    let registration = faux::Registration::new(c"device_leaked", None)?;
    let faux: &faux::Device<device::Bound> = registration.as_ref();
    let dev: &device::Device<device::Bound> = faux.as_ref();
    let leaked = KBox::leak(KBox::new(DeviceDomain::new(dev)?, GFP_KERNEL)?);
    core::mem::forget(DeviceDomain::new(dev)?);
    let other = DeviceDomain::new(dev)?;

    for _ in 0..8 {
        let (b, e) = (began.clone(), ended.clone());
        leaked.schedule_with_device(GFP_KERNEL, move |_, dev| {
            b.add(1);
            pause(20);
            e.add((dev.name().to_bytes() == b"device_leaked").into());
        })?;
    }
    check!(eventually(|| began.get() > 0));
    drop(other);
    check!(leaked.schedule_with_device(GFP_KERNEL, |_, _| ()).is_ok());
    drop(registration);
    check_eq!((began.get(), ended.get()), (8, 8));
    check!(
        matches!(leaked.schedule_with_device(GFP_KERNEL, |_, _| ()), Err(e) if e.error == ESHUTDOWN)
    );
    check_eq!(leaked.begin(GFP_KERNEL).err(), Some(ESHUTDOWN));
    leaked.synchronize(..)?;
    check_eq!(leaked.cancel_all(), 0);
    check_eq!(leaked.stats().finished, 9);
    Ok(())
}
