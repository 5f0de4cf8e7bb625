// SPDX-License-Identifier: GPL-2.0

//! What is explored. A scenario has few threads, each of which does a thing or two, and says what must
//! be true at the end. That somebody sleeps for ever, that memory is used while or after it ends, or
//! that it is left behind, is noticed everywhere.

mod future;
pub mod wait;

use crate::domain::{
    runners as runner,
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
    all("domain-ordered-placed", domain::ordered_placed),
    all("domain-ordered-behind-token", domain::ordered_behind_token),
    all("domain-ordered-before-detached", domain::ordered_before_detached),
    all("domain-item", domain::item),
    all("domain-item-again", domain::item_again),
    all("domain-item-again-placed", domain::item_again_placed),
    all("domain-cancel", domain::cancel),
    all("domain-cancel-placed", domain::cancel_placed),
    bounded("runner-line", 3, runner::line),
    bounded("runner-ordered", 2, runner::ordered),
    bounded("runner-items", 2, runner::items),
    bounded("runner-submission", 2, runner::submission),
    bounded("runner-cancel-last", 3, runner::cancel_last),
    bounded("runner-cancel-and-submit", 3, runner::cancel_and_submit),
    bounded("runner-cancel-by-two", 2, runner::cancel_by_two),
    bounded("runner-parallel", 3, runner::parallel),
    bounded("runner-free-list", 5, runner::free_list),
    bounded("domain-owner", 5, runner::owner),
    all("domain-owner-item", runner::owner_item),
    bounded("domain-owner-again", 5, runner::owner_again),
    bounded("domain-owner-detached", 3, runner::owner_detached),
    bounded("spawn-woken", 5, spawned::woken),
    all("spawn-cancelled", spawned::cancelled),
];
