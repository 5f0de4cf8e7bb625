// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Wakers are cloned, kept after their future, its domain and its memory are gone, woken then in a hard interrupt, and
//! dropped there.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use core::future::poll_fn;
use core::task::{
    Poll,
    Waker, //
};
use kernel::{
    new_spinlock,
    sync::SpinLock, //
};
use lib::*;

attack!("keep_wakers");

#[pin_data]
struct Kept {
    #[pin]
    wakers: SpinLock<KVec<Waker>>,
}

fn attack() -> Result {
    for round in 0..20 {
        let kept = Arc::pin_init(
            pin_init!(Kept { wakers <- new_spinlock!(KVec::new()) }),
            GFP_KERNEL,
        )?;
        let dropped = Count::new()?;
        let domain = domain!("futures");

        let (k, guard) = (kept.clone(), dropped.dropped());
        let mut polls = 0;
        domain.spawn(
            GFP_KERNEL,
            poll_fn(move |cx| {
                let _guard = &guard;
                polls += 1;
                for _ in 0..8 {
                    let waker = cx.waker().clone();
                    let _ = k.wakers.lock().push(waker, GFP_ATOMIC);
                }
                cx.waker().wake_by_ref();
                if polls == 4 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }),
        )?;
        if round % 2 == 0 {
            domain.synchronize(..)?;
        } else {
            domain.cancel_all();
        }
        drop(domain);
        check_eq!(dropped.get(), 1);

        let wakers = core::mem::take(&mut *kept.wakers.lock());
        check!(wakers.iter().all(|waker| waker.will_wake(&wakers[0])));
        let mut wakers = wakers.into_iter();
        if let (Some(one), Some(other)) = (wakers.next(), wakers.next()) {
            in_interrupt(move || {
                one.wake_by_ref();
                one.wake();
                drop(other);
            })?;
        }
        for waker in wakers {
            waker.wake_by_ref();
            drop(waker.clone());
            waker.wake();
        }
        check_eq!(dropped.get(), 1);
    }
    Ok(())
}
