// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Tasks wait for their own handles, and handles are joined twice, moved to other threads, and joined after the domain
//! was closed and dropped.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::Handle;
use kernel::{
    new_mutex,
    sync::Mutex, //
};
use lib::*;

attack!("own_handle");

#[pin_data]
struct Shared {
    #[pin]
    handle: Mutex<Option<Handle<u64>>>,
    answer: Count,
}

fn attack() -> Result {
    let domain = domain!("handles");
    let shared = Arc::pin_init(
        try_pin_init!(Shared {
            handle <- new_mutex!(None),
            answer: Count::new()?,
        }),
        GFP_KERNEL,
    )?;
    let gate = Gate::new()?;

    let (s, g) = (shared.clone(), gate.clone());
    *shared.handle.lock() = Some(domain.schedule_with_handle(GFP_KERNEL, move |_| {
        g.wait();
        let own = s.handle.lock().take();
        let Some(mut own) = own else { return 0 };
        if own.join_with(moment()) == Err(ETIMEDOUT) {
            s.answer.add(1);
        }
        *s.handle.lock() = Some(own);
        17
    })?);
    gate.open();
    domain.synchronize(..)?;
    let mut handle = shared.handle.lock().take().ok_or(EIO)?;
    check_eq!(shared.answer.get(), 1);

    let d = domain.clone();
    let elsewhere = domain.schedule_with_handle(GFP_KERNEL, move |_| {
        d.close();
        let first = handle.join_with(moment());
        (first, handle.join_with(moment()), handle)
    })?;
    drop(domain);
    let (first, second, handle) = elsewhere.join()?;
    check_eq!((first, second), (Ok(17), Err(ENODATA)));
    check!(handle.cookie() < Cookie::now());
    Ok(())
}
