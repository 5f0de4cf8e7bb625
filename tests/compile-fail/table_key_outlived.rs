// SPDX-License-Identifier: GPL-2.0

//! A waiter's key that borrows from its frame must not be taken for one that borrows for longer.

use async_domain::{
    keyed::WaitTable,
    WaitMode, //
};
use kernel::prelude::*;

fn wait(table: &WaitTable<&'static str>) -> Result {
    #[cfg(wicked)]
    let bytes = *b"slot";
    #[cfg(wicked)]
    // error[E0597]: `bytes` does not live long enough
    let name = core::str::from_utf8(&bytes).map_err(|_| EINVAL)?;
    #[cfg(not(wicked))]
    let name = "slot";

    shorter(table, name)
}

fn shorter<'a>(table: &WaitTable<&'a str>, name: &'a str) -> Result {
    table.wait_event(name, WaitMode::KILLABLE, || false)
}
