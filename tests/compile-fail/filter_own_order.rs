// SPDX-License-Identifier: GPL-2.0

//! There are two orders; one's own could say that it is sorted and not be.

#[cfg(not(wicked))]
use async_domain::wait::Fifo as Lifo;
use async_domain::wait::{
    Filter,
    Verdict, //
};

#[cfg(wicked)]
struct Lifo;

#[cfg(wicked)]
// error[E0277]: you also need to implement `async_domain::wait::filter::private::Sealed`, which is not accessible
impl<F> async_domain::wait::Order<F> for Lifo {
    fn is_before(_new: &F, _old: &F) -> bool {
        true
    }
}

#[derive(Clone, Copy)]
struct Any;

impl Filter for Any {
    type Event = ();
    // error[E0277]: Sealed` is not satisfied
    type Order = Lifo;

    fn judge(&self, _event: &mut ()) -> Verdict<Lifo> {
        Verdict::WAKE
    }
}
