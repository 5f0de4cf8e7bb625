// SPDX-License-Identifier: GPL-2.0

//! What one holds of two queues cannot change places: one lock is given back before the other.

use async_domain::wait::{
    Filter,
    WaitQueue, //
};

fn swap<F: Filter>(a: &WaitQueue<u64, F>, b: &WaitQueue<u64, F>) {
    a.with(|a| {
        b.with(|b| {
            #[cfg(wicked)]
            // error[E0521]: borrowed data escapes outside of closure
            core::mem::swap(a, b);
            #[cfg(not(wicked))]
            core::mem::swap(&mut **a, &mut **b);
        })
    });
}
