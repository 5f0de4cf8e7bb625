// SPDX-License-Identifier: GPL-2.0

//! Futures that are spawned, and who wakes and cancels them.

use super::{
    future_header::{
        Ops,
        Spawned, //
    },
    scenarios::Log,
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
use kernel::prelude::*;
use loom::sync::atomic::{
    AtomicBool,
    Ordering::Relaxed, //
};
use std::{
    ptr,
    rc::Rc,
    task, //
};

/// Is ready when the flag is set.
#[repr(C)]
struct Flagged {
    header: Spawned,
    flag: Rc<AtomicBool>,
    /// Polls, and its end.
    log: Log,
    wakers: Rc<std::cell::RefCell<Vec<task::Waker>>>,
}

const POLLED: u32 = 1;
const DROPPED: u32 = 2;

impl Flagged {
    const OPS: Ops = Ops {
        poll: Self::poll,
        discard: Self::discard,
        module: ptr::null_mut(),
    };

    fn of(header: NonNull<Spawned>) -> &'static Self {
        world::touch(header.as_ptr().addr());
        // SAFETY: All headers are those of such futures, whose memory stays.
        unsafe { header.cast::<Self>().as_ref() }
    }

    unsafe fn poll(header: NonNull<Spawned>, context: &mut task::Context<'_>) -> bool {
        let this = Self::of(header);
        this.log.add(POLLED);
        if this.log.get() == [POLLED] {
            // The wakers for all who will wake, so that what they do is all that tells of the flag.
            *this.wakers.borrow_mut() = vec![context.waker().clone(), context.waker().clone()];
        }
        let ready = this.flag.load(Relaxed);
        if ready {
            this.log.add(DROPPED);
        }
        ready
    }

    unsafe fn discard(header: NonNull<Spawned>) {
        Self::of(header).log.add(DROPPED);
    }

    /// Spawns one, which has been polled once.
    fn spawn(domain: &AsyncDomain) -> (Cookie, &'static Self) {
        let this = world::allocate::<Self>("a spawned future");

        // SAFETY: The memory is ours.
        unsafe {
            Spawned::init(this.cast(), &Self::OPS, ffi::NUMA_NO_NODE);
            (&raw mut (*this).flag).write(Rc::new(AtomicBool::new(false)));
            (&raw mut (*this).log).write(Log::new());
            (&raw mut (*this).wakers).write(Rc::default());
            let cookie = Spawned::submit(NonNull::new_unchecked(this.cast()), domain).unwrap();
            workqueue::run_one();
            (cookie, &*this)
        }
    }
}

const FOREVER: WaitMode = WaitMode::UNINTERRUPTIBLE.fallible();

/// Two wake a future, of which one has set the flag, while a worker polls it: it is polled after that.
pub fn woken() {
    let domain = AsyncDomain::begin();
    let (cookie, future) = Flagged::spawn(domain);
    let (flag, log) = (future.flag.clone(), future.log.clone());
    let [a, b]: [task::Waker; 2] = future.wakers.take().try_into().ok().unwrap();

    let worker = sched::spawn(workqueue::run_one);
    let other = sched::spawn(move || a.wake());
    flag.store(true, Relaxed);
    b.wake();
    other.join();
    worker.join();
    workqueue::run_rest();
    assert_eq!(domain.wait_for_all_below(cookie.next(), FOREVER), Ok(()));
    assert_eq!(log.get().iter().filter(|&&what| what == DROPPED).count(), 1);
    domain.end();
}

/// A future is cancelled while somebody wakes it, and a worker polls it: it is dropped once.
pub fn cancelled() {
    let domain = AsyncDomain::begin();
    let (cookie, future) = Flagged::spawn(domain);
    let (flag, log) = (future.flag.clone(), future.log.clone());
    let [a, b]: [task::Waker; 2] = future.wakers.take().try_into().ok().unwrap();

    drop(a);
    let waker = sched::spawn(move || {
        flag.store(true, Relaxed);
        b.wake();
    });
    let worker = sched::spawn(workqueue::run_rest);
    domain.cancel(cookie);
    waker.join();
    worker.join();
    workqueue::run_rest();
    assert_eq!(domain.wait_for_all_below(cookie.next(), FOREVER), Ok(()));
    assert_eq!(log.get().iter().filter(|&&what| what == DROPPED).count(), 1);
    domain.end();
}
