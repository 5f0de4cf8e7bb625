// SPDX-License-Identifier: GPL-2.0

//! What is explored. A scenario has few threads, each of which does a thing or two, and says what must
//! be true at the end. That somebody sleeps for ever, that memory is used while or after it ends, or
//! that it is left behind, is noticed everywhere.

mod future;
pub mod wait;

use crate::domain::{
    scenarios as domain,
    spawned, //
};

pub struct Scenario {
    pub name: &'static str,
    /// Explore interleavings with so many preemptions only; `None` for all.
    pub preemptions: Option<usize>,
    pub run: fn(),
}

const fn all(name: &'static str, run: fn()) -> Scenario {
    Scenario {
        name,
        preemptions: None,
        run,
    }
}

const fn bounded(name: &'static str, preemptions: usize, run: fn()) -> Scenario {
    Scenario {
        name,
        preemptions: Some(preemptions),
        run,
    }
}

#[rustfmt::skip]
pub const ALL: &[Scenario] = &[
    all("wait-one", wait::one),
    bounded("wait-two", 5, wait::two),
    all("wait-timeout", wait::timeout),
    all("wait-signal", wait::signal),
    all("wait-spurious", wait::spurious),
    bounded("wait-neighbours", 4, wait::neighbours),
    bounded("wait-units", 3, wait::units),
    all("future-polled", future::polled),
    all("future-dropped", future::dropped),
    all("future-other-waker", future::other_waker),
    bounded("domain-frontier", 3, domain::frontier),
    all("domain-run", domain::run),
    all("domain-end", domain::end),
    bounded("domain-visitor", 4, domain::visitor),
    all("domain-ordered", domain::ordered),
    all("domain-ordered-behind-token", domain::ordered_behind_token),
    all("domain-item", domain::item),
    all("domain-item-again", domain::item_again),
    all("domain-cancel", domain::cancel),
    bounded("spawn-woken", 5, spawned::woken),
    all("spawn-cancelled", spawned::cancelled),
];
