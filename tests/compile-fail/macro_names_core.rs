// SPDX-License-Identifier: GPL-2.0

//! What a crate calls `core` and `kernel` is its own affair: the macros name theirs by other paths.

#![allow(unused_extern_crates)]

extern crate core as std_core;
extern crate kernel as std_kernel;
extern crate self as core;
extern crate self as kernel;

use async_domain::{
    domain::HasTask,
    impl_has_task,
    keyed::{
        Address,
        WaitTable, //
    },
    new_async_domain,
    new_completion_ring,
    new_event_counter,
    new_wait_queue,
    new_wait_table,
    static_domain,
    threshold::{
        CompletionRing,
        EventCounter, //
    },
    wait::{
        Fifo,
        Filter,
        Verdict,
        WaitQueue, //
    },
    OwnedDomain,
    TaskHeader, //
};
use std_kernel::{
    alloc::flags::GFP_KERNEL,
    error::{
        Error,
        Result, //
    },
    prelude::PinInit, //
};

struct Request {
    sector: u64,
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Request { self.task }
}

const OFFSET: usize = <Request as HasTask<Request>>::OFFSET;

static_domain!(static PROBES);
static_domain!(static RESUME, exclusive);

#[derive(Clone, Copy)]
struct Anything;

impl Filter for Anything {
    type Event = ();
    type Order = Fifo;

    fn judge(&self, _event: &mut ()) -> Verdict<Fifo> {
        Verdict::WAKE
    }
}

fn domain() -> Result<OwnedDomain> {
    new_async_domain!("ports", GFP_KERNEL)
}

fn exclusive() -> Result<OwnedDomain> {
    new_async_domain!("ports", exclusive, GFP_KERNEL)
}

fn queue() -> impl PinInit<WaitQueue<(), Anything>> {
    new_wait_queue!((), "queue")
}

fn table() -> Result<WaitTable<Address>> {
    new_wait_table!(16, GFP_KERNEL, "table")
}

fn counter() -> impl PinInit<EventCounter> {
    new_event_counter!("counter")
}

fn ring() -> impl PinInit<CompletionRing<u64>, Error> {
    new_completion_ring!(16, GFP_KERNEL, "ring")
}

#[cfg(wicked)]
// error[E0433]: unresolved import
const WRONG: usize = ::core::mem::offset_of!(Request, task);

#[cfg(not(wicked))]
const WRONG: usize = std_core::mem::offset_of!(Request, task);
