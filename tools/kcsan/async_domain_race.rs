// SPDX-License-Identifier: GPL-2.0

//! A module with a data race: KCSAN is to report it. And one without, of which it is to say nothing.

use async_domain::{
    new_async_domain,
    Submit, //
};
use core::cell::UnsafeCell;
use kernel::{
    prelude::*,
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};

module! {
    type: Race,
    name: "async_domain_race",
    authors: ["The async_domain developers"],
    description: "A data race that KCSAN is to report",
    license: "GPL",
}

const DURATION: Delta = Delta::from_secs(2);

/// A number that anybody may write to at any time.
struct Number(UnsafeCell<u64>);

// SAFETY: It is not safe, which is what it is for.
unsafe impl Sync for Number {}

static PLAIN: Number = Number(UnsafeCell::new(0));
static MARKED: Number = Number(UnsafeCell::new(0));

// These are not inlined, since the report names functions.

#[inline(never)]
fn count_plain() {
    // SAFETY: The address is valid. Another task counts at the same time: that is the race.
    unsafe { *PLAIN.0.get() += 1 };
}

#[inline(never)]
fn count_marked() {
    let number = MARKED.0.get();

    // SAFETY: The address is valid. For the kernel these are `READ_ONCE()` and `WRITE_ONCE()`.
    unsafe { number.write_volatile(number.read_volatile() + 1) };
}

/// Calls a function in two tasks at the same time.
fn race(count: fn()) -> Result {
    let domain = new_async_domain!("race", GFP_KERNEL)?;

    for _ in 0..2 {
        domain.schedule(GFP_KERNEL, move |_| {
            let start = Instant::<Monotonic>::now();
            while start.elapsed() < DURATION {
                for _ in 0..1000 {
                    count();
                }
            }
        })?;
    }
    domain.synchronize(..)
}

struct Race;

impl kernel::Module for Race {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        race(count_marked)?;
        race(count_plain)?;
        Ok(Self)
    }
}
