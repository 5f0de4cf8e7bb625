// SPDX-License-Identifier: GPL-2.0

//! What the test suites of keyed waits share: threads that wait in a table.

use super::WaitTable;
use crate::{
    kunit::{
        self,
        eventually,
        Thread, //
    },
    wait::WaitMode,
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(super) type Table = WaitTable<u64>;

pub(super) fn table(buckets: usize) -> Result<Arc<Table>> {
    let table = crate::new_wait_table!(buckets, GFP_KERNEL, "kunit")?;
    Ok(Arc::new(table, GFP_KERNEL)?)
}

pub(super) const MODE: WaitMode = WaitMode::UNINTERRUPTIBLE.fallible();

/// The result of a wait, and how often the thread went to sleep for it.
pub(super) type Waited = (Result, usize);

/// A thread that waits, in whatever way, until it is woken.
pub(super) fn waiter(
    table: &Arc<Table>,
    wait: impl FnOnce(&Table) -> Result + Send + 'static,
) -> Result<Thread<Waited>> {
    let (t, waits) = (table.clone(), table.counts().waits);
    let thread = Thread::spawn(move || {
        kunit::allow_signal(kernel::bindings::SIGUSR1);
        let mut ret = Err(EINVAL);
        let switches = kunit::count_switches(|| ret = wait(&t));
        (ret, switches)
    })?;

    if eventually(|| table.counts().waits > waits) && thread.falls_asleep() {
        Ok(thread)
    } else {
        Err(EBUSY)
    }
}

pub(super) fn shared_waiter(table: &Arc<Table>, key: u64) -> Result<Thread<Waited>> {
    waiter(table, move |table| table.wait_event(key, MODE, || false))
}

pub(super) fn exclusive(table: &Arc<Table>, key: u64, mode: WaitMode) -> Result<Thread<Waited>> {
    waiter(table, move |table| {
        table.wait_event_exclusive(key, mode, || false)
    })
}
