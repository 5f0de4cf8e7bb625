// SPDX-License-Identifier: GPL-2.0

//! A sorted queue needs filters that can be compared.

use async_domain::wait::{
    Filter,
    Sorted,
    Verdict, //
};

#[derive(Clone, Copy)]
#[cfg_attr(not(wicked), derive(PartialEq, Eq, PartialOrd, Ord))]
struct AtLeast(u64);

impl Filter for AtLeast {
    type Event = u64;
    // error[E0277]: the trait bound `AtLeast: Ord` is not satisfied
    type Order = Sorted;

    fn judge(&self, count: &mut u64) -> Verdict<Sorted> {
        Verdict::wake_or_stop(*count >= self.0)
    }
}
