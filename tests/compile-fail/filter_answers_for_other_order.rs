// SPDX-License-Identifier: GPL-2.0

//! A filter answers for the order that its queue has.

#[cfg(wicked)]
use async_domain::wait::Sorted as Answered;
use async_domain::wait::{
    Fifo,
    Filter,
    Verdict, //
};
#[cfg(not(wicked))]
use Fifo as Answered;

#[derive(Clone, Copy)]
struct Any;

impl Filter for Any {
    type Event = ();
    type Order = Fifo;

    // error[E0053]: expected `Fifo`, found `Sorted`
    fn judge(&self, _event: &mut ()) -> Verdict<Answered> {
        Verdict::WAKE
    }
}
