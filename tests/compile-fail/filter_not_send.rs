// SPDX-License-Identifier: GPL-2.0

//! A filter is called by other threads.

use async_domain::wait::{
    Fifo,
    Filter,
    Verdict, //
};

#[cfg(wicked)]
type Counter<'a> = &'a core::cell::Cell<u32>;
#[cfg(not(wicked))]
type Counter<'a> = &'a kernel::sync::atomic::Atomic<u32>;

#[derive(Clone, Copy)]
struct Counting<'a>(Counter<'a>);

// error[E0277]: cannot be shared between threads safely
impl Filter for Counting<'_> {
    type Event = ();
    type Order = Fifo;

    fn judge(&self, _event: &mut ()) -> Verdict<Fifo> {
        let _ = self.0;
        Verdict::WAKE
    }
}
