// SPDX-License-Identifier: GPL-2.0

//! Threads that wait in a queue.

use crate::{
    model::{
        sched,
        world, //
    },
    wait::{
        Counts,
        Fifo,
        Filter,
        Sorted,
        Verdict,
        WaitMode,
        WaitQueue, //
    },
};
use kernel::{
    error::{
        code::*,
        Error,
        Result, //
    },
    sync::LockClassKey,
    time::Delta, //
};
use loom::cell::UnsafeCell;
use std::{
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc, //
};

/// What a waiter is granted. It is in the waiter's frame, as its filter is: who writes it must not do so
/// when the waiter can have left.
pub type Grant = UnsafeCell<u64>;

/// Waits for a count, in order.
#[derive(Clone, Copy)]
pub struct AtLeast {
    pub count: u64,
    pub grant: *const Grant,
}

// SAFETY: Loom's threads run one at a time, on one thread.
unsafe impl Send for AtLeast {}
// SAFETY: As above.
unsafe impl Sync for AtLeast {}

impl PartialEq for AtLeast {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count
    }
}
impl Eq for AtLeast {}
impl PartialOrd for AtLeast {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for AtLeast {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.count.cmp(&other.count)
    }
}

impl Filter for AtLeast {
    type Event = u64;
    type Order = Sorted;

    fn judge(&self, count: &mut u64) -> Verdict<Sorted> {
        // SAFETY: The grant is in the waiter's frame.
        unsafe { (*self.grant).with(|_| ()) };
        Verdict::wake_or_stop(*count >= self.count)
    }

    fn grant(&mut self, count: &mut u64) {
        // SAFETY: As above.
        unsafe { (*self.grant).with_mut(|grant| *grant = *count) };
    }
}

/// Waits for one of the units that there are.
#[derive(Clone, Copy)]
pub struct OneOf;

impl Filter for OneOf {
    type Event = u64;
    type Order = Fifo;

    fn judge(&self, units: &mut u64) -> Verdict<Fifo> {
        match *units {
            0 => Verdict::SKIP,
            1 => Verdict::WAKE_EXCLUSIVE,
            _ => Verdict::WAKE,
        }
    }

    fn grant(&mut self, units: &mut u64) {
        *units -= 1;
    }
}

pub struct Queue<F: Filter>(pub Rc<WaitQueue<u64, F>>);

impl<F: Filter> Clone for Queue<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Filter<Event = u64> + 'static> Queue<F> {
    pub fn new() -> Self {
        let mut queue = Rc::<WaitQueue<u64, F>>::new_uninit();
        let slot = Rc::get_mut(&mut queue).unwrap().as_mut_ptr();

        // SAFETY: It is ours, and not moved.
        unsafe {
            WaitQueue::init_raw(slot, 0, c"model", LockClassKey::key());
            Self(queue.assume_init())
        }
    }

    /// Waits, in a frame of its own.
    fn wait_with(&self, mode: WaitMode, check: impl FnOnce(u64) -> Option<F>) -> Result<Option<F>> {
        let ret = self.0.wait_granted(mode, |data| Ok(check(**data)));
        world::frame_ends(sched::current());
        ret
    }

    /// Sets the count and wakes by it; returns how many were woken.
    pub fn set(&self, count: u64) -> u64 {
        self.0.with(|data| {
            **data = count;
            let mut event = count;
            data.wake(&mut event)
        })
    }

    pub fn counts(&self) -> Counts {
        self.0.with(|data| data.counts())
    }
}

impl Queue<AtLeast> {
    /// Waits for a count; if it comes, the thread sees that it does.
    fn wait(&self, count: u64, mode: WaitMode) -> Result {
        let grant = Grant::new(0);
        let ret = self.wait_with(mode, |now| {
            (now < count).then_some(AtLeast {
                count,
                grant: &grant,
            })
        });

        // The frame ends: nobody may use what is in it.
        //
        // SAFETY: Loom sees to it that nobody else has it.
        let granted = grant.with_mut(|grant| unsafe { *grant });
        match ret {
            Ok(None) => assert_eq!(granted, 0),
            Ok(Some(_)) => assert!(granted >= count, "woken without a grant"),
            Err(_) => assert_eq!(granted, 0, "what was granted is lost"),
        }
        ret.map(|_| ())
    }
}

const FOREVER: WaitMode = WaitMode::UNINTERRUPTIBLE.fallible();
const SOON: Delta = Delta::from_nanos(1);

/// A waiter comes while the condition becomes true.
pub fn one() {
    let queue = Queue::new();
    let q = queue.clone();
    let waiter = sched::spawn(move || q.wait(1, FOREVER));

    let woken = queue.set(1);
    assert_eq!(waiter.join(), Ok(()));
    let counts = queue.counts();
    assert_eq!(
        (counts.waits, counts.wakeups, counts.spurious),
        (woken, woken, 0)
    );
}

/// Two waiters, and two events of which the first satisfies one of them.
pub fn two() {
    let queue = Queue::new();
    let waiters = [2, 1].map(|count| {
        let q = queue.clone();
        sched::spawn(move || q.wait(count, FOREVER))
    });

    queue.set(1);
    queue.set(2);
    for waiter in waiters {
        assert_eq!(waiter.join(), Ok(()));
    }
    assert_eq!(queue.counts().spurious, 0);
}

/// A waiter that leaves by itself while it is granted what it waits for: one of the two.
fn leaves(mode: WaitMode, error: Error, end: fn(usize)) {
    let queue = Queue::new();
    let q = queue.clone();
    let waiter = sched::spawn(move || q.wait(1, mode));
    let number = waiter.number;
    let ender = sched::spawn(move || end(number));

    let woken = queue.set(1);
    ender.join();
    match waiter.join() {
        // It may have found the condition true when it came.
        Ok(()) => assert_eq!(queue.counts().waits, woken),
        Err(e) => assert_eq!((e, woken), (error, 0)),
    }
    assert_eq!(queue.counts().spurious, 0);
}

pub fn timeout() {
    leaves(FOREVER.timeout(SOON), ETIMEDOUT, sched::timer_fires);
}

pub fn signal() {
    leaves(WaitMode::KILLABLE, ERESTARTSYS, sched::kill);
}

pub fn hrtimer() {
    let mode = FOREVER.timeout(SOON).hrtimer(SOON);
    leaves(mode, ETIMEDOUT, sched::timer_fires);
}

/// A waiter is frozen while it is granted what it waits for, and while its time ends: one of the two.
pub fn frozen() {
    let mode = FOREVER.freezable().timeout(SOON);
    leaves(mode, ETIMEDOUT, |number| {
        let frozen = sched::freeze(number);
        sched::timer_fires(number);
        if frozen {
            sched::thaw(number);
        }
    });
}

/// Somebody else wakes the thread at any time.
pub fn spurious() {
    let queue = Queue::new();
    let q = queue.clone();
    let waiter = sched::spawn(move || q.wait(1, FOREVER));
    let number = waiter.number;
    let stranger = sched::spawn(move || sched::wake_up_process(number));

    queue.set(1);
    stranger.join();
    assert_eq!(waiter.join(), Ok(()));
    assert!(queue.counts().spurious <= 1);
}

/// Two waiters in one queue, of which one leaves while the other is granted what it waits for.
pub fn neighbours() {
    let queue = Queue::new();
    let q = queue.clone();
    let stays = sched::spawn(move || q.wait(1, FOREVER));
    let q = queue.clone();
    let leaves = sched::spawn(move || q.wait(2, FOREVER.timeout(SOON)));
    let number = leaves.number;

    sched::timer_fires(number);
    queue.set(1);
    assert_eq!(stays.join(), Ok(()));
    assert_eq!(leaves.join(), Err(ETIMEDOUT));
}

/// Two wait for a unit, one not for long; two units come. None is lost.
pub fn units() {
    let queue = Queue::<OneOf>::new();
    let waiters = [FOREVER, FOREVER.timeout(SOON)].map(|mode| {
        let q = queue.clone();
        sched::spawn(move || {
            let ret = q.0.wait_granted(mode, |units| {
                if **units > 0 {
                    **units -= 1;
                    return Ok(None);
                }
                Ok(Some(OneOf))
            });
            world::frame_ends(sched::current());
            u64::from(ret.is_ok())
        })
    });
    let number = waiters[1].number;
    sched::timer_fires(number);

    for _ in 0..2 {
        queue.0.with(|units| {
            **units += 1;
            units.wake_by_data();
        });
    }
    let [stays, leaves] = waiters.map(sched::Started::join);
    assert_eq!(stays, 1);
    assert_eq!(queue.0.with(|units| **units), 1 - leaves);
}
