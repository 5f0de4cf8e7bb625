// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! What tasks own submits more when it is dropped: after it ran, as it is cancelled, refused, and in a value that
//! nobody takes.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("busy_destructors");

fn successor(domain: &Arc<OwnedDomain>, ran: &Count) -> AtDrop<impl FnMut() + Send + 'static> {
    let (d, ran) = (domain.clone(), ran.clone());
    AtDrop(move || {
        let r = ran.clone();
        if d.schedule(GFP_KERNEL, move |_| r.add(1)).is_err() {
            ran.add(1 << 32);
        }
    })
}

fn attack() -> Result {
    let domain = domain!("busy");
    let ran = Count::new()?;

    for _ in 0..50 {
        let (one, two, three) = (
            successor(&domain, &ran),
            successor(&domain, &ran),
            successor(&domain, &ran),
        );
        domain.schedule(GFP_KERNEL, move |_| drop(one))?;
        drop(domain.schedule_with_handle(GFP_KERNEL, move |_| two)?);
        domain.schedule_ordered(GFP_KERNEL, move |_| three, |three, _| drop(three))?;
        domain.synchronize(..)?;

        // Cancelled behind a token, whose successor cannot retire before it.
        let four = successor(&domain, &ran);
        let five = successor(&domain, &ran);
        domain.spawn(GFP_KERNEL, async move {
            let _five = five;
            core::future::pending::<()>().await;
        })?;
        domain.schedule(GFP_KERNEL, move |_| drop(four))?;
        domain.cancel_all();
        domain.synchronize_with(patience(), ..)?;

        // Refused.
        domain.set_limit(0);
        let six = successor(&domain, &ran);
        let refused = domain.schedule(GFP_KERNEL, move |_| drop(six));
        domain.set_limit(100);
        drop(refused);
        domain.synchronize_with(patience(), ..)?;
    }
    check_eq!(ran.get() >> 32, 0);
    // The successors of what was cancelled may have been cancelled, too.
    check!(ran.get() >= 50 * 4 && ran.get() <= 50 * 6);
    let stats = domain.stats();
    check_eq!(stats.submitted, stats.finished);
    Ok(())
}
