// SPDX-License-Identifier: GPL-2.0

//! A filter owns nothing: it would be dropped under the lock of the queue.

use async_domain::wait::{
    Fifo,
    Filter,
    Verdict, //
};
#[cfg(wicked)]
use kernel::prelude::*;

#[cfg(wicked)]
type Name = KBox<u32>;
#[cfg(not(wicked))]
type Name = u32;

// error[E0277]: Clone` is not satisfied
// error[E0204]: Copy` cannot be implemented for this type
#[derive(Clone, Copy)]
struct Named(Name);

impl Filter for Named {
    type Event = u32;
    type Order = Fifo;

    fn judge(&self, name: &mut u32) -> Verdict<Fifo> {
        #[cfg(wicked)]
        let own = *self.0;
        #[cfg(not(wicked))]
        let own = self.0;

        Verdict::wake_if(*name == own)
    }
}
