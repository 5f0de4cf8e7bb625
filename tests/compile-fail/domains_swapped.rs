// SPDX-License-Identifier: GPL-2.0

//! Domains do not move, not even to each other's place.

use async_domain::AsyncDomain;
use kernel::prelude::*;

fn swap(mut a: Pin<KBox<AsyncDomain>>, mut b: Pin<KBox<AsyncDomain>>) {
    #[cfg(wicked)]
    // error[E0596]: cannot borrow data in dereference of `Pin<kernel::alloc::kbox::Box
    // error[E0596]: cannot borrow data in dereference of `Pin<kernel::alloc::kbox::Box
    core::mem::swap(&mut *a, &mut *b);
    #[cfg(not(wicked))]
    core::mem::swap(&mut a, &mut b);
}
