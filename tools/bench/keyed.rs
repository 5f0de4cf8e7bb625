// SPDX-License-Identifier: GPL-2.0

//! Workload g: waits by key, with `n` waiters for other keys in the same bucket.
//!
//! - `ns_per_wake`: a wake-up of a key for which nobody waits.
//! - `ns_per_roundtrip`: this thread wakes another one, which waits for a key, and is woken by it.
//! - `spurious`: how often the waiters for other keys ran meanwhile.
//!
//! The sides: `keyed` is a [`WaitTable`] with the keys of the one that all share
//! ([`shared()`](async_domain::keyed::shared)), but of one bucket; `wait_var` is `wait_var_event()` and
//! `wake_up_var()` with variables whose addresses are in one bucket; `wake_all` is a wait queue of
//! which everybody is woken.

use crate::{
    ffi,
    params::Params,
    results::{
        Case,
        Results,
        Sheet, //
    },
    team::Team,
    time::{
        now,
        settle, //
    },
};
use async_domain::{
    keyed::{
        Address,
        WaitTable, //
    },
    new_wait_table,
    WaitMode, //
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

/// Waiters for other keys.
const OTHERS: [usize; 3] = [0, 16, 256];
/// How often each thing is done.
const TIMES: usize = 200;

/// The keys: this thread's, its partner's, nobody's, and those of others.
const OWN: usize = 0;
const PARTNERS: usize = 1;
const NOBODYS: usize = 2;
const FIRST_OTHER: usize = 3;

pub(crate) fn run(params: &Params, results: &mut Results) -> Result {
    for n in OTHERS {
        let case = |side| Case { side, n };
        let nr = FIRST_OTHER + n;

        results.measure(params, case("keyed"), |sheet| {
            all(&Table::new(nr)?, n, sheet)
        })?;
        results.measure(params, case("wait_var"), |sheet| {
            all(&Vars::new(nr, false)?, n, sheet)
        })?;
        results.measure(params, case("wake_all"), |sheet| {
            all(&Vars::new(nr, true)?, n, sheet)
        })?;
    }
    Ok(())
}

/// Things that one can wait for, each of which is there or not; who waits for it takes it.
trait Keyed: Sync {
    fn wait(&self, key: usize);
    fn wake(&self, key: usize);
}

fn all<K: Keyed>(keyed: &K, n: usize, sheet: &mut Sheet<'_>) -> Result {
    Team::with(n, None, &|i| keyed.wait(FIRST_OTHER + i), |others| {
        let before = others.usage();

        settle();
        let start = now();
        for _ in 0..TIMES {
            keyed.wake(NOBODYS);
        }
        let wakes = now() - start;

        let partner = || {
            for _ in 0..TIMES {
                keyed.wait(PARTNERS);
                keyed.wake(OWN);
            }
        };
        let roundtrips = Team::with(1, None, &|_| partner(), |_| {
            settle();
            let start = now();
            for _ in 0..TIMES {
                keyed.wake(PARTNERS);
                keyed.wait(OWN);
            }
            now() - start
        });
        others.settle();
        let spurious = others.usage().since(before).switches;

        for i in 0..n {
            keyed.wake(FIRST_OTHER + i);
        }
        sheet.ns_per("ns_per_wake", wakes, TIMES)?;
        sheet.ns_per("ns_per_roundtrip", roundtrips?, TIMES)?;
        sheet.count("spurious", spurious)
    })?
}

/// This project's form.
struct Table {
    table: WaitTable<Address>,
    there: KVVec<Atomic<bool>>,
}

impl Table {
    fn new(nr: usize) -> Result<Self> {
        let mut there = KVVec::with_capacity(nr, GFP_KERNEL)?;

        for _ in 0..nr {
            there.push(Atomic::new(false), GFP_KERNEL)?;
        }
        Ok(Self {
            table: new_wait_table!(1, GFP_KERNEL)?,
            there,
        })
    }
}

impl Keyed for Table {
    fn wait(&self, key: usize) {
        let there = &self.there[key];

        let Ok(()) = self
            .table
            .wait_event(Address::of(there), WaitMode::UNINTERRUPTIBLE, || {
                there.load(Relaxed) && {
                    there.store(false, Relaxed);
                    true
                }
            });
    }

    fn wake(&self, key: usize) {
        let there = &self.there[key];

        self.table.with(Address::of(there), |bucket| {
            // Who is woken has it.
            if bucket.wake_up().shared == 0 {
                there.store(true, Relaxed);
            }
        });
    }
}

/// See `vars.c`.
struct Vars(NonNull<ffi::bench_vars>);

// SAFETY: The variables are atomic, and their queues have locks.
unsafe impl Sync for Vars {}

impl Vars {
    fn new(nr: usize, wake_all: bool) -> Result<Self> {
        // SAFETY: It may always be called.
        let vars = NonNull::new(unsafe { ffi::bench_vars_create(nr.try_into()?, wake_all) });

        Ok(Self(vars.ok_or(ENOMEM)?))
    }
}

impl Keyed for Vars {
    fn wait(&self, key: usize) {
        // SAFETY: The variables are valid.
        // CAST: There are fewer than 2^32.
        unsafe { ffi::bench_vars_wait(self.0.as_ptr(), key as c_uint) };
    }

    fn wake(&self, key: usize) {
        // SAFETY: As above.
        // CAST: As above.
        unsafe { ffi::bench_vars_wake(self.0.as_ptr(), key as c_uint) };
    }
}

impl Drop for Vars {
    fn drop(&mut self) {
        // SAFETY: They were created by `new`, and nobody waits, who would borrow them.
        unsafe { ffi::bench_vars_destroy(self.0.as_ptr()) };
    }
}
