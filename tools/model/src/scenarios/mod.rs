// SPDX-License-Identifier: GPL-2.0

//! What is explored. A scenario has few threads, each of which does a thing or two, and says what must
//! be true at the end. That somebody sleeps for ever, that memory is used while or after it ends, or
//! that it is left behind, is noticed everywhere.

mod future;
pub mod wait;

use crate::domain::{
    dispatchers as dispatcher,
    done,
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
    all("wait-hrtimer", wait::hrtimer),
    all("wait-signal", wait::signal),
    all("wait-frozen", wait::frozen),
    all("wait-spurious", wait::spurious),
    bounded("wait-neighbours", 4, wait::neighbours),
    bounded("wait-units", 3, wait::units),
    all("future-polled", future::polled),
    all("future-dropped", future::dropped),
    all("future-other-waker", future::other_waker),
    bounded("domain-frontier", 3, domain::frontier),
    all("domain-run", domain::run),
    all("domain-end", domain::end),
    bounded("domain-pin", 4, domain::pin),
    all("domain-ordered", domain::ordered),
    all("domain-ordered-behind-token", domain::ordered_behind_token),
    all("domain-ordered-both-behind-token", domain::ordered_both_behind_token),
    all("domain-ordered-before-detached", domain::ordered_before_detached),
    all("domain-item", domain::item),
    all("domain-item-again", domain::item_again),
    all("domain-item-again-cancelled", domain::item_again_cancelled),
    all("domain-cancel", domain::cancel),
    all("domain-scope", domain::scope),
    bounded("domain-scope-nested", 3, domain::scope_nested),
    bounded("domain-scope-drops", 3, domain::scope_drops),
    bounded("dispatcher-queue", 3, dispatcher::queue),
    bounded("dispatcher-ordered", 2, dispatcher::ordered),
    bounded("dispatcher-items", 2, dispatcher::items),
    bounded("dispatcher-nodes", 2, dispatcher::nodes),
    bounded("dispatcher-submission", 2, dispatcher::submission),
    bounded("dispatcher-cancel-last", 3, dispatcher::cancel_last),
    bounded("dispatcher-cancel-and-submit", 3, dispatcher::cancel_and_submit),
    bounded("dispatcher-cancel-by-two", 2, dispatcher::cancel_by_two),
    bounded("dispatcher-cancel-other-node", 2, dispatcher::cancel_other_node),
    bounded("dispatcher-parallel", 3, dispatcher::parallel),
    bounded("dispatcher-free-list", 5, dispatcher::free_list),
    bounded("dispatcher-wanted", 2, dispatcher::wanted),
    bounded("dispatcher-wanted-cancel", 3, dispatcher::wanted_cancel),
    bounded("dispatcher-wanted-by-two", 2, dispatcher::wanted_by_two),
    bounded("domain-owner", 5, dispatcher::owner),
    all("domain-owner-item", dispatcher::owner_item),
    bounded("domain-owner-again", 5, dispatcher::owner_again),
    bounded("domain-owner-detached", 3, dispatcher::owner_detached),
    all("done-item-token", done::item_token),
    all("done-item-token-elsewhere", done::item_token_elsewhere),
    all("done-item-token-last", done::item_token_last),
    all("done-item-token-shared", done::item_token_shared),
    bounded("done-value", 4, done::value),
    bounded("done-module", 4, done::module),
    bounded("spawn-woken", 5, spawned::woken),
    all("spawn-cancelled", spawned::cancelled),
];
