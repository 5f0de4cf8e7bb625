// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Rings of no place, of events of no size, and requests that are larger than what there is, or empty.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::{
    new_completion_ring,
    threshold::CompletionRing, //
};
use lib::*;

attack!("odd_rings");

fn attack() -> Result {
    let none: Result<Pin<KBox<CompletionRing<u8>>>> =
        KBox::pin_init(new_completion_ring!(0, GFP_KERNEL, "none"), GFP_KERNEL);
    check_eq!(none.err(), Some(EINVAL));

    let units: Pin<KBox<CompletionRing<()>>> =
        KBox::pin_init(new_completion_ring!(3, GFP_KERNEL, "units"), GFP_KERNEL)?;
    check_eq!(units.post_all(&[(); 4]), Err(ENOBUFS));
    check_eq!(units.post_all(&[(); 3]), Ok(3));
    check_eq!(units.post(()), Err(ENOBUFS));
    check_eq!(units.wait(&mut [(); 2], 2, patience()), Ok(2));
    check_eq!(units.available(), 1);

    let ring = KBox::pin_init(new_completion_ring!(10_000, GFP_KERNEL, "big"), GFP_KERNEL)?;
    let mut events = KVVec::from_elem(0u64, 20_000, GFP_KERNEL)?;
    for (i, event) in events.iter_mut().enumerate() {
        *event = i as u64;
    }
    check_eq!(ring.post_all(&events), Err(ENOBUFS));
    check_eq!((ring.post_all(&[]), ring.available()), (Ok(0), 0));
    check_eq!(ring.wait(&mut [], 0, patience()), Ok(0));
    check_eq!(ring.wait(&mut [], 1, patience()), Err(EINVAL));
    check_eq!(ring.wait(&mut [0], usize::MAX, patience()), Err(EINVAL));
    check_eq!(ring.wait(&mut events, 10_001, patience()), Err(EINVAL));
    // Around the end of the ring.
    for round in 0..5 {
        check_eq!(ring.post_all(&events[..7_000]), Ok(7_000));
        let mut taken = KVVec::from_elem(u64::MAX, 8_000, GFP_KERNEL)?;
        check_eq!(ring.wait(&mut taken, 7_000, patience()), Ok(7_000));
        check!(taken[..7_000] == events[..7_000] && taken[7_000] == u64::MAX);
        check_eq!((round, ring.available()), (round, 0));
    }
    Ok(())
}
