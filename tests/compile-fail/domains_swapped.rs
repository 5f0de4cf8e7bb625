// SPDX-License-Identifier: GPL-2.0

//! Domains do not move, not even to each other's place. Their owners do.

use async_domain::OwnedDomain;

fn swap(a: &mut OwnedDomain, b: &mut OwnedDomain) {
    #[cfg(wicked)]
    // error[E0596]: trait `DerefMut` is required to modify through a dereference
    core::mem::swap(&mut **a, &mut **b);
    #[cfg(not(wicked))]
    core::mem::swap(a, b);
}
