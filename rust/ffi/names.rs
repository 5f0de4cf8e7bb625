// SPDX-License-Identifier: GPL-2.0

//! Names of the C side: the kernel's bindings, this project's own, and safe functions for the smallest of them.

use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        AtomicType, //
    },
};

pub(crate) use kernel::bindings::{
    __init_waitqueue_head,
    __wake_up_locked_key,
    autoremove_wake_function,
    bus_type,
    cancel_work,
    destroy_workqueue,
    device,
    dl_dev_state_DL_DEV_DRIVER_BOUND,
    dl_dev_state_DL_DEV_PROBING,
    finish_wait,
    hrtimer_mode_HRTIMER_MODE_ABS as HRTIMER_MODE_ABS,
    kfree,
    list_head,
    lockdep_map,
    module,
    module_put,
    module_refcount,
    module_state,
    module_state_MODULE_STATE_COMING,
    module_state_MODULE_STATE_LIVE,
    queue_work_node,
    queue_work_on,
    raw_spinlock_t,
    schedule_hrtimeout_range,
    schedule_timeout,
    spinlock_t,
    task_struct,
    try_module_get,
    wait_queue_entry,
    wait_queue_head,
    work_struct,
    workqueue_struct,
    CONFIG_HZ,
    MAX_NUMNODES,
    NUMA_NO_NODE,
    TASK_COMM_LEN,
    TASK_FREEZABLE,
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_NOLOAD,
    TASK_NORMAL,
    TASK_UNINTERRUPTIBLE, //
};

#[cfg(CONFIG_TRACEPOINTS)]
pub(crate) use kernel::bindings::tracepoint;

#[cfg(ASYNC_DOMAIN_KUNIT)]
pub(crate) use kernel::bindings::{
    module_state_MODULE_STATE_GOING,
    workqueue_set_max_active, //
};

// In place of what bindgen made, where the macros come down to these very functions.
#[cfg(all(
    CONFIG_SMP,
    not(any(CONFIG_PREEMPT_RT, CONFIG_INLINE_SPIN_LOCK_IRQSAVE))
))]
pub(crate) use kernel::bindings::_raw_spin_lock_irqsave as raw_spin_lock_irqsave;
#[cfg(all(
    CONFIG_SMP,
    not(any(CONFIG_PREEMPT_RT, CONFIG_INLINE_SPIN_UNLOCK_IRQRESTORE))
))]
pub(crate) use kernel::bindings::_raw_spin_unlock_irqrestore as raw_spin_unlock_irqrestore;

pub(crate) use generated::*;

/// The output of bindgen for `bindings/bindings_helper.h`.
#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    unreachable_pub,
    improper_ctypes
)]
mod generated {
    use kernel::{
        bindings::*,
        ffi, //
    };

    include!(env!("ASYNC_DOMAIN_BINDINGS"));
}

/// Runs `f`, which takes spin locks and runs in hard interrupts on kernels without `PREEMPT_RT` only.
/// Tells that to lockdep, which on all kernels reports what `PREEMPT_RT` would not allow.
#[inline(always)]
// Tested by: kunit finished_by_a_timer_interrupt.
pub(crate) fn with_spin_locks<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(CONFIG_PROVE_RAW_LOCK_NESTING)]
    allow_spinlock_enter();
    let ret = f();
    #[cfg(CONFIG_PROVE_RAW_LOCK_NESTING)]
    allow_spinlock_exit();
    ret
}

/// Loads as `READ_ONCE()` does: relaxed, and without the call that the kernel crate makes of it.
#[inline(always)]
// Tested by: model domain-owner, kunit who_runs_a_task_is_seen.
pub(crate) fn read_once<T: AtomicType>(atomic: &Atomic<T>) -> T {
    const { assert!(size_of::<T>() <= size_of::<usize>()) };
    // SAFETY: The reference keeps the memory valid; a word is stored as a whole.
    unsafe { atomic.as_ptr().read_volatile() }
}

/// Stores as `WRITE_ONCE()` does: relaxed, and without a call.
#[inline(always)]
// Tested by: model domain-owner, kunit who_runs_a_task_is_seen.
pub(crate) fn write_once<T: AtomicType>(atomic: &Atomic<T>, value: T) {
    const { assert!(size_of::<T>() <= size_of::<usize>()) };
    // SAFETY: The reference keeps the memory valid; a word is loaded as a whole.
    unsafe { atomic.as_ptr().write_volatile(value) }
}

/// The lower half of `jiffies`.
#[inline]
// Tested by: kunit who_runs_a_task_is_seen, kunit stages_before_a_worker_comes.
pub(crate) fn ticks() -> u32 {
    // CAST: The lower half.
    //
    // SAFETY: It is always there, and read once, as C's `READ_ONCE()` does.
    unsafe { (&raw const kernel::bindings::jiffies).read_volatile() as u32 }
}

/// Runs `f`, in which the current thread sleeps, as a wait for I/O (C's `io_schedule_prepare()` and
/// `io_schedule_finish()`, which modules cannot call).
#[inline]
pub(crate) fn with_io_wait<R>(f: impl FnOnce() -> R) -> R {
    let before = set_in_iowait(true);
    let ret = f();

    set_in_iowait(before);
    ret
}

/// The current thread.
#[inline]
// Tested by: kunit who_runs_a_task_is_seen, kunit stages_before_a_worker_comes.
pub(crate) fn current() -> *mut task_struct {
    // SAFETY: There is a current thread in every context.
    unsafe { kernel::bindings::get_current() }
}

/// The number of the current thread, in the initial PID namespace.
#[inline]
// Tested by: kunit who_runs_a_task_is_seen, kunit stages_before_a_worker_comes.
pub(crate) fn current_pid() -> c_int {
    // SAFETY: The current thread is valid, and its number does not change while it runs.
    unsafe { (*current()).pid }
}

/// An address in the code into which this is inlined (C's `_THIS_IP_`).
#[cfg(CONFIG_X86_64)]
#[inline(always)]
// Tested by: kunit who_runs_a_task_is_seen, kunit stages_before_a_worker_comes.
pub(crate) fn here() -> usize {
    let address: usize;

    // SAFETY: The instruction only writes its output register.
    unsafe {
        core::arch::asm!(
            "lea {}, [rip]",
            out(reg) address,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    address
}

/// An address in the code into which this is inlined (C's `_THIS_IP_`).
#[cfg(CONFIG_ARM64)]
#[inline(always)]
// Tested by: kunit who_runs_a_task_is_seen, kunit stages_before_a_worker_comes.
pub(crate) fn here() -> usize {
    let address: usize;

    // SAFETY: The instruction only writes its output register.
    unsafe {
        core::arch::asm!(
            "adr {}, .",
            out(reg) address,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    address
}

/// 0, on architectures for which no instruction is known that gives an address in the code.
#[cfg(not(any(CONFIG_X86_64, CONFIG_ARM64)))]
#[inline(always)]
pub(crate) fn here() -> usize {
    0
}

/// Returns the `struct module` of the crate into which this function is inlined.
///
/// This is C's `THIS_MODULE`. Every module has a `__this_module` of its own, which the linker
/// resolves: code that is inlined into a consumer names the consumer. So every function between a
/// consumer and this one is `#[inline]`. Built-in code shares one object (see `builtin.c`), where C
/// has null: only the linker knows whether a consumer of this crate is a module.
#[inline(always)]
pub(crate) const fn this_module() -> *mut module {
    &raw mut kernel::bindings::__this_module
}
