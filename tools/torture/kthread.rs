// SPDX-License-Identifier: GPL-2.0

//! Kernel threads, their signals and their clock, which the kernel's Rust crate lacks: all of the module's unsafe
//! code. `kthread.c` has the other half.

use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::aref::ARef,
    task::Task,
    time::Jiffies, //
};

/// The prototypes of `kthread.h`. (A `task_struct` is not a type that rustc takes to be fit for C.)
mod c {
    use super::*;

    type Function = unsafe extern "C" fn(*mut c_void) -> c_int;

    extern "C" {
        pub(super) fn async_domain_torture_create(
            func: Function,
            data: *mut c_void,
            number: c_int,
            bind: bool,
        ) -> *mut c_void;
        pub(super) fn async_domain_torture_join(task: *mut c_void);
        pub(super) fn async_domain_torture_cpus() -> c_uint;
        pub(super) fn async_domain_torture_allow_signals();
        pub(super) fn async_domain_torture_fatal_signal() -> bool;
        pub(super) fn async_domain_torture_flush_signals();
        pub(super) fn async_domain_torture_send(task: *mut c_void, fatal: bool);
        pub(super) fn async_domain_torture_resched();
        pub(super) fn async_domain_torture_jiffies() -> c_ulong;
        pub(super) fn async_domain_torture_going() -> bool;
    }
}

/// A kernel thread that runs a closure.
///
/// # Invariants
///
/// The task is a kernel thread, on which this holds a reference.
pub(crate) struct Thread(NonNull<c_void>);

// SAFETY: Any thread may wait for the end of another.
unsafe impl Send for Thread {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for Thread {}

impl Thread {
    /// Starts a thread, on one of the CPUs that are online if it is to be bound.
    pub(crate) fn spawn<F>(number: usize, bind: bool, func: F) -> Result<Self>
    where
        F: FnOnce() + Send + 'static,
    {
        let func = KBox::into_raw(KBox::new(func, GFP_KERNEL)?);
        // SAFETY: The thread's function takes the box that it is given. CAST: A small number.
        let task =
            unsafe { c::async_domain_torture_create(run::<F>, func.cast(), number as c_int, bind) };

        let task = from_err_ptr(task).inspect_err(|_| {
            // SAFETY: There is no thread: the box is still ours.
            drop(unsafe { KBox::from_raw(func) })
        })?;
        // INVARIANT: The thread was created with a reference for us.
        NonNull::new(task).map(Self).ok_or(ENOMEM)
    }

    /// Waits until the thread has ended, and none of its code runs any more.
    pub(crate) fn join(self) {
        // SAFETY: By the type invariant; the reference is given up.
        unsafe { c::async_domain_torture_join(self.0.as_ptr()) };
    }
}

/// # Safety
///
/// `data` must come from [`KBox<F>::into_raw`](KBox::into_raw).
unsafe extern "C" fn run<F: FnOnce()>(data: *mut c_void) -> c_int {
    // SAFETY: By the caller's promise.
    let func = unsafe { KBox::<F>::from_raw(data.cast()) };
    KBox::into_inner(func)();
    0
}

/// How many CPUs are online.
pub(crate) fn cpus() -> usize {
    // SAFETY: It may always be called. CAST: A small number.
    unsafe { c::async_domain_torture_cpus() as usize }
}

/// The current thread.
pub(crate) fn current() -> ARef<Task> {
    let task: &Task = kernel::current!();
    task.into()
}

/// Lets the current thread get signals.
pub(crate) fn allow_signals() {
    // SAFETY: It concerns the current thread only, which is a kernel thread.
    unsafe { c::async_domain_torture_allow_signals() };
}

/// Whether a signal is pending that a killable wait ends for.
pub(crate) fn fatal_signal() -> bool {
    // SAFETY: It concerns the current thread only.
    unsafe { c::async_domain_torture_fatal_signal() }
}

/// Takes the pending signals of the current thread.
pub(crate) fn flush_signals() {
    // SAFETY: As above.
    unsafe { c::async_domain_torture_flush_signals() };
}

/// Sends a signal, one that a killable wait ends for or another.
pub(crate) fn send_signal(task: &Task, fatal: bool) {
    // SAFETY: The task is valid, since it is borrowed. One that has ended gets no signal.
    unsafe { c::async_domain_torture_send(task.as_ptr().cast(), fatal) };
}

/// Lets others run, if they should. Must be called in process context.
pub(crate) fn resched() {
    // SAFETY: Only threads of this module call it, and hold no lock.
    unsafe { c::async_domain_torture_resched() };
}

/// The clock by which threads sleep.
pub(crate) fn jiffies() -> Jiffies {
    // SAFETY: It may always be called.
    unsafe { c::async_domain_torture_jiffies() }
}

/// Whether the module is being unloaded.
pub(crate) fn going() -> bool {
    // SAFETY: It may always be called.
    unsafe { c::async_domain_torture_going() }
}
