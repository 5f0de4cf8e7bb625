// SPDX-License-Identifier: GPL-2.0

//! What is true of a task or a token when somebody learns that it is done: see `rust/domain/core/order.rs`.

use super::{
    header::{
        Ops,
        Task, //
    },
    scenarios::Job,
    AsyncDomain,
    Cookie, //
};
use crate::{
    ffi,
    model::{
        sched,
        workqueue,
        world, //
    },
    wait::WaitMode, //
};
use kernel::{
    error::Result,
    prelude::*, //
};
use loom::sync::atomic::{
    AtomicBool,
    Ordering::{
        Acquire,
        Relaxed,
        Release, //
    },
};
use std::{
    ptr::NonNull,
    rc::Rc, //
};

const FOREVER: WaitMode = WaitMode::UNINTERRUPTIBLE;

/// An item that is begun; it is not run.
fn item() -> NonNull<Task> {
    Job::new(&Job::ITEM, |_| unreachable!(), |_| ())
}

fn begin(item: NonNull<Task>, domain: &AsyncDomain) -> Result {
    // SAFETY: The item is valid until the end of the scenario.
    unsafe { Task::begin(item, domain) }
}

fn finish(item: NonNull<Task>) {
    // SAFETY: The caller has begun it.
    unsafe { Task::finish_token(item) }
}

fn cookie(item: NonNull<Task>) -> Cookie {
    // SAFETY: The item is valid, and in flight.
    unsafe { (*item.as_ptr()).node.cookie() }
}

/// A thread that has waited for an item can begin it again.
pub fn item_token() {
    let domain = AsyncDomain::begin();
    let item = item();
    begin(item, domain).unwrap();
    let cookie = cookie(item);
    let other = sched::spawn(move || finish(item));

    assert_eq!(domain.wait_for_all_below(cookie.next(), FOREVER), Ok(()));
    assert_eq!(begin(item, domain), Ok(()));
    other.join();
    finish(item);
    domain.end();
    world::memory_ends(item.as_ptr().addr());
}

/// A thread that begins an item elsewhere while it is finished does so after it, or is refused.
pub fn item_token_elsewhere() {
    let (first, second) = (AsyncDomain::begin(), AsyncDomain::begin());
    let (before, item) = (item(), item());
    begin(before, first).unwrap();
    begin(item, first).unwrap();
    let other = sched::spawn(move || finish(item));

    let begun = begin(item, second);
    other.join();
    // The one before is where it was.
    assert_eq!(first.frontier(), cookie(before));
    match begun {
        Ok(()) => {
            assert_eq!(second.frontier(), cookie(item));
            finish(item);
        }
        Err(error) => assert_eq!(error, EBUSY),
    }
    finish(before);
    for domain in [first, second] {
        domain.end();
    }
    for item in [before, item] {
        world::memory_ends(item.as_ptr().addr());
    }
}

/// A task that tells of its end by a flag.
#[repr(C)]
struct Valued {
    task: Task,
    told: Rc<AtomicBool>,
}

impl Valued {
    const OPS: Ops = Ops {
        run: |_, _| (),
        retire: None,
        discard: |_| (),
        settle: Some(Self::settle),
        callers_memory: false,
        module: std::ptr::null_mut(),
    };

    unsafe fn settle(task: NonNull<Task>) {
        world::touch(task.as_ptr().addr());
        // SAFETY: The task is in such a structure, whose memory stays.
        unsafe { task.cast::<Self>().as_ref() }
            .told
            .store(true, Release);
    }
}

/// A task gives a value while one thread waits for its cookie, and another for the value: each finds what the other
/// has waited for.
pub fn value() {
    let domain = AsyncDomain::begin();
    let told = Rc::new(AtomicBool::new(false));
    let valued = world::allocate::<Valued>("a task");
    // SAFETY: The memory is ours.
    let task = unsafe {
        Task::init(valued.cast(), &Valued::OPS);
        (*valued).task.node.has(0);
        (&raw mut (*valued).told).write(told.clone());
        NonNull::new_unchecked(valued.cast())
    };
    let cookie = Job::submit(task, domain).unwrap();
    let worker = sched::spawn(workqueue::run_one);
    let t = told.clone();
    let other = sched::spawn(move || {
        if t.load(Acquire) {
            assert_eq!(domain.frontier(), Cookie::UNUSED);
        }
    });

    assert_eq!(domain.wait_for_all_below(cookie.next(), FOREVER), Ok(()));
    assert!(told.load(Relaxed));
    other.join();
    domain.end();
    worker.join();
}

/// A thread that has waited for the last task of a module can unload it.
pub fn module() {
    let module = ffi::load_module();
    let domain = AsyncDomain::begin_of(module);
    let task = Job::of_module(module, Job::TASK, || ());
    let cookie = Job::submit(task, domain).unwrap();
    let worker = sched::spawn(workqueue::run_one);

    assert_eq!(domain.wait_for_all_below(cookie.next(), FOREVER), Ok(()));
    assert!(ffi::unload_module(module));
    domain.end();
    worker.join();
}
