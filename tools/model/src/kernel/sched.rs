// SPDX-License-Identifier: GPL-2.0

//! Threads: sleeping and being woken (kernel/sched/core.c).
//!
//! The kernel has full barriers in `set_current_state()`, `schedule()` and `try_to_wake_up()`. They are
//! left out, since the module does not need them: states are set and looked at under the queue's lock.

use super::{
    ffi::task_struct,
    world, //
};
use core::ffi::{
    c_int,
    c_long,
    c_uint, //
};
use kernel::task::MAX_SCHEDULE_TIMEOUT;
use loom::sync::{
    atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    },
    Condvar,
    Mutex, //
};
use std::cell::Cell;

pub const TASK_RUNNING: c_uint = 0;
pub const TASK_INTERRUPTIBLE: c_uint = 1;
pub const TASK_UNINTERRUPTIBLE: c_uint = 2;
pub const TASK_WAKEKILL: c_uint = 0x100;
pub const TASK_NOLOAD: c_uint = 0x400;
pub const TASK_FREEZABLE: c_uint = 0x2000;
pub const TASK_FROZEN: c_uint = 0x8000;
pub const TASK_KILLABLE: c_uint = TASK_WAKEKILL | TASK_UNINTERRUPTIBLE;
pub const TASK_NORMAL: c_uint = TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE;

/// A `struct task_struct`.
pub struct Thread {
    state: AtomicU32,
    /// While it is frozen: the state in which it would be.
    saved_state: AtomicU32,
    /// It is not running (`on_rq`).
    asleep: AtomicU32,
    /// A fatal signal is pending.
    signal: AtomicU32,
    /// The timer of `schedule_timeout()` has fired. It is the time that says so, not memory.
    time_over: Cell<bool>,
    /// `pi_lock`, and the run queue's.
    lock: Mutex<()>,
    runs: Condvar,
}

impl Thread {
    pub fn new() -> Self {
        Self {
            state: AtomicU32::new(TASK_RUNNING),
            saved_state: AtomicU32::new(TASK_RUNNING),
            asleep: AtomicU32::new(0),
            signal: AtomicU32::new(0),
            time_over: Cell::new(false),
            lock: Mutex::new(()),
            runs: Condvar::new(),
        }
    }
}

loom::thread_local! {
    static CURRENT: Cell<usize> = Cell::new(usize::MAX);
}

/// The calling thread is the one with this number.
pub fn adopt(number: usize) {
    CURRENT.with(|current| current.set(number));
}

pub fn current() -> usize {
    CURRENT.with(|current| current.get())
}

/// A thread that was started.
pub struct Started<R> {
    pub number: usize,
    handle: loom::thread::JoinHandle<R>,
}

pub fn spawn<R: 'static>(f: impl FnOnce() -> R + 'static) -> Started<R> {
    let number = world::add_thread();
    let handle = loom::thread::spawn(move || {
        adopt(number);
        f()
    });
    Started { number, handle }
}

impl<R> Started<R> {
    pub fn join(self) -> R {
        self.handle.join().unwrap()
    }
}

/// The address that stands for a thread; nothing is there.
pub fn task_of(number: usize) -> *mut task_struct {
    core::ptr::without_provenance_mut(0x1000 + 0x40 * number)
}

fn number_of(task: *mut task_struct) -> usize {
    (task.addr() - 0x1000) / 0x40
}

pub fn set_current_state(state: c_uint) {
    let thread = world::thread(current());

    thread.state.store(state, Relaxed);
}

/// `__set_current_state()`
pub fn set_current_state_plain(state: c_uint) {
    world::thread(current()).state.store(state, Relaxed);
}

/// Makes a thread that sleeps in one of these states runnable.
pub fn try_to_wake_up(task: *mut task_struct, mode: c_uint) -> bool {
    wake(&world::thread(number_of(task)), mode, || ())
}

fn wake(thread: &Thread, mode: c_uint, before: impl FnOnce()) -> bool {
    let _guard = thread.lock.lock().unwrap();
    before();
    // See `ttwu_state_match()`.
    if thread.saved_state.load(Relaxed) & mode != 0 {
        thread.saved_state.store(TASK_RUNNING, Relaxed);
        return true;
    }
    if thread.state.load(Relaxed) & mode == 0 {
        return false;
    }
    thread.state.store(TASK_RUNNING, Relaxed);
    thread.runs.notify_one();
    true
}

fn is_signal_pending(thread: &Thread, state: c_uint) -> bool {
    state & (TASK_INTERRUPTIBLE | TASK_WAKEKILL) != 0 && thread.signal.load(Relaxed) != 0
}

pub fn signal_pending_state(state: c_uint) -> bool {
    is_signal_pending(&world::thread(current()), state)
}

pub fn schedule_timeout(timeout: c_long) -> c_long {
    let thread = world::thread(current());
    let mut guard = thread.lock.lock().unwrap();
    let limited = timeout < MAX_SCHEDULE_TIMEOUT;

    if is_signal_pending(&thread, thread.state.load(Relaxed)) || limited && thread.time_over.get() {
        thread.state.store(TASK_RUNNING, Relaxed);
    }
    thread.asleep.store(1, Relaxed);
    while thread.state.load(Relaxed) != TASK_RUNNING {
        guard = thread.runs.wait(guard).unwrap();
    }
    thread.asleep.store(0, Relaxed);
    if limited && thread.time_over.get() {
        0
    } else {
        timeout
    }
}

/// The timer of a thread's `schedule_timeout()` fires.
pub fn timer_fires(number: usize) {
    let thread = world::thread(number);
    wake(&thread, TASK_NORMAL, || thread.time_over.set(true));
}

/// A fatal signal is sent.
pub fn kill(number: usize) {
    let thread = world::thread(number);
    wake(&thread, TASK_INTERRUPTIBLE | TASK_WAKEKILL, || {
        thread.signal.store(1, Relaxed);
    });
}

/// Freezes a thread, if it sleeps and can be; says whether it has (`__set_task_frozen()`).
pub fn freeze(number: usize) -> bool {
    let thread = world::thread(number);
    let _guard = thread.lock.lock().unwrap();
    let state = thread.state.load(Relaxed);
    let freezes = state & TASK_FREEZABLE != 0 && thread.asleep.load(Relaxed) != 0;

    if freezes {
        thread.saved_state.store(state, Relaxed);
        thread.state.store(TASK_FROZEN, Relaxed);
    }
    freezes
}

/// Thaws a frozen thread, which goes on to sleep unless something has woken it meanwhile (`__thaw_task()`).
pub fn thaw(number: usize) {
    let thread = world::thread(number);
    let _guard = thread.lock.lock().unwrap();

    thread
        .state
        .store(thread.saved_state.swap(TASK_RUNNING, Relaxed), Relaxed);
    thread.runs.notify_one();
}

/// Somebody wakes a thread who has nothing to do with what it waits for.
pub fn wake_up_process(number: usize) {
    wake(&world::thread(number), TASK_NORMAL, || ());
}

/// `default_wake_function()`
pub fn default_wake_function(task: *mut task_struct, mode: c_uint) -> c_int {
    try_to_wake_up(task, mode).into()
}
