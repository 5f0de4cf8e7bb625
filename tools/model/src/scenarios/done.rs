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
    AtomicBool, AtomicUsize,
    Ordering::{
        AcqRel,
        Acquire,
        Relaxed,
        Release, //
    },
};
use std::{
    cell::Cell,
    ptr::NonNull,
    rc::Rc, //
};

const FOREVER: WaitMode = WaitMode::UNINTERRUPTIBLE.fallible();

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
    unsafe { Task::finish_token(item, None) }
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

/// An item is begun in another domain while its token is finished, and waited for: it goes there after all that is done
/// to it here, or is refused.
pub fn item_token_elsewhere() {
    let (first, second) = (AsyncDomain::begin(), AsyncDomain::begin());
    let (before, item) = (item(), item());
    begin(before, first).unwrap();
    begin(item, first).unwrap();
    let done = cookie(item).next();
    let finisher = sched::spawn(move || {
        finish(item);
        finish(before);
    });
    let elsewhere = Rc::new(Cell::new(None));
    let e = elsewhere.clone();
    let other = sched::spawn(move || e.set(Some(begin(item, second))));

    assert_eq!(first.wait_for_all_below(done, FOREVER), Ok(()));
    assert_eq!(first.frontier(), Cookie::UNUSED);
    finisher.join();
    other.join();
    match elsewhere.get() {
        Some(Ok(())) => {
            assert_eq!(second.frontier(), cookie(item));
            finish(item);
        }
        begun => assert_eq!(begun, Some(Err(EBUSY))),
    }
    assert_eq!(second.frontier(), Cookie::UNUSED);
    for domain in [first, second] {
        domain.end();
    }
    for item in [before, item] {
        world::memory_ends(item.as_ptr().addr());
    }
}

/// An item that has owners; the last one frees it.
#[repr(C)]
struct Shared {
    task: Task,
    owners: Rc<AtomicUsize>,
}

impl Shared {
    const OPS: Ops = Ops {
        run: |_, _| unreachable!(),
        retire: None,
        discard: Self::discard,
        settle: None,
        callers_memory: true,
        module: std::ptr::null_mut(),
    };

    fn new(owners: usize) -> NonNull<Task> {
        let shared = world::allocate::<Self>("an item");

        // SAFETY: The memory is ours.
        unsafe {
            Task::init(shared.cast(), &Self::OPS);
            (&raw mut (*shared).owners).write(Rc::new(AtomicUsize::new(owners)));
            NonNull::new_unchecked(shared.cast())
        }
    }

    fn owners(task: NonNull<Task>) -> Rc<AtomicUsize> {
        // SAFETY: The task is in such a structure, whose memory stays.
        unsafe { task.cast::<Self>().as_ref() }.owners.clone()
    }

    /// As `put_shared()` of an `Arc`.
    unsafe fn put(task: NonNull<Task>) -> bool {
        let owners = Self::owners(task);
        let last = owners.fetch_sub(1, AcqRel) == 1;

        if last {
            owners.store(1, Relaxed);
        }
        !last
    }

    unsafe fn discard(task: NonNull<Task>) {
        Self::drop_share(task);
    }

    fn drop_share(task: NonNull<Task>) {
        if Self::owners(task).fetch_sub(1, AcqRel) == 1 {
            world::memory_ends(task.as_ptr().addr());
        }
    }
}

/// A token that owns its item, or one of two shares in it, is finished, while the other owner drops its own. The
/// last one frees the item, and the token uses nothing of it afterwards; one that has waited finds no share of it.
fn drop_token(owners: usize) {
    let domain = AsyncDomain::begin();
    let item = Shared::new(owners);
    begin(item, domain).unwrap();
    let (cookie, left) = (cookie(item), Shared::owners(item));
    // SAFETY: The item has been begun.
    let finisher = sched::spawn(move || unsafe { Task::finish_token(item, Some(Shared::put)) });
    let owner = (owners > 1).then(|| sched::spawn(move || Shared::drop_share(item)));

    assert_eq!(domain.wait_for_all_below(cookie.next(), FOREVER), Ok(()));
    assert!(
        left.load(Acquire) < owners,
        "the token's share is there still"
    );
    domain.end();
    finisher.join();
    if let Some(owner) = owner {
        owner.join();
    }
}

/// As above, with the only share.
pub fn item_token_last() {
    drop_token(1);
}

/// As above, with one of two.
pub fn item_token_shared() {
    drop_token(2);
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
