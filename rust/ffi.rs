// SPDX-License-Identifier: GPL-2.0

//! The floor that everything stands on: the only place that names `bindings` and `extern "C"`.
//!
//! Three kinds of things live here, and none of them decides anything:
//!
//! - the kernel's types and functions that the floors above use, by name;
//! - the functions that this project's own bindgen run made out of `helpers.h` (inline functions
//!   and macros of the kernel that its Rust crate lacks);
//! - the `extern "C"` functions that the kernel calls back, each handing over to a trait that a
//!   floor above implements.

use crate::lock_class;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        AtomicType, //
    },
    types::Opaque, //
};

#[cfg(CONFIG_DEBUG_FS)]
pub(crate) mod debugfs;

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
    get_current,
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
    schedule_timeout,
    task_struct,
    try_module_get,
    wait_queue_entry,
    wait_queue_head,
    work_struct,
    workqueue_struct,
    MAX_NUMNODES,
    NUMA_NO_NODE,
    TASK_COMM_LEN,
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
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

/// Takes the lock of a wait queue, as `spin_lock_irqsave()` does; returns what was saved.
///
/// In place of what bindgen made, where the macro comes down to this very function.
///
/// # Safety
///
/// `head` must be initialised.
#[cfg(all(
    CONFIG_SMP,
    not(any(CONFIG_PREEMPT_RT, CONFIG_INLINE_SPIN_LOCK_IRQSAVE))
))]
#[inline(always)]
// Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
pub(crate) unsafe fn wait_queue_lock(head: *mut wait_queue_head) -> c_ulong {
    // SAFETY: By the caller's promise.
    unsafe { kernel::bindings::_raw_spin_lock_irqsave((&raw mut (*head).lock).cast()) }
}

/// Gives the lock of a wait queue back, as `spin_unlock_irqrestore()` does; as above.
///
/// # Safety
///
/// It must have been taken by [`wait_queue_lock`], by this thread, which has returned `flags`.
#[cfg(all(
    CONFIG_SMP,
    not(any(CONFIG_PREEMPT_RT, CONFIG_INLINE_SPIN_UNLOCK_IRQRESTORE))
))]
#[inline(always)]
// Tested by: nothing: Lockdep in the debug kernel; torture on all kernels.
pub(crate) unsafe fn wait_queue_unlock(head: *mut wait_queue_head, flags: c_ulong) {
    // SAFETY: By the caller's promise.
    unsafe { kernel::bindings::_raw_spin_unlock_irqrestore((&raw mut (*head).lock).cast(), flags) }
}

/// Runs what may be run in a hard interrupt, but for `PREEMPT_RT`, where it is not: spin locks sleep there.
/// Lockdep, which looks ahead to `PREEMPT_RT` on all kernels, is told so.
#[inline(always)]
// Tested by: kunit finished_by_a_timer_interrupt.
pub(crate) fn with_spin_locks<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: It may always be called, and is left below.
    #[cfg(CONFIG_PROVE_RAW_LOCK_NESTING)]
    unsafe {
        allow_spinlock_enter()
    };
    let ret = f();
    // SAFETY: It was entered above, by this thread or interrupt.
    #[cfg(CONFIG_PROVE_RAW_LOCK_NESTING)]
    unsafe {
        allow_spinlock_exit()
    };
    ret
}

/// Loads as `READ_ONCE()` does: relaxed, and without the call that the kernel crate makes of it.
#[inline(always)]
// Tested by: model domain-owner, kunit who_runs_a_task_is_seen.
pub(crate) fn read_once<T: AtomicType>(atomic: &Atomic<T>) -> T {
    const { assert!(size_of::<T>() <= size_of::<usize>()) };
    // SAFETY: The memory is valid, and others store it as a whole.
    unsafe { atomic.as_ptr().read_volatile() }
}

/// Stores as `WRITE_ONCE()` does: relaxed, and without a call.
#[inline(always)]
// Tested by: model domain-owner, kunit who_runs_a_task_is_seen.
pub(crate) fn write_once<T: AtomicType>(atomic: &Atomic<T>, value: T) {
    const { assert!(size_of::<T>() <= size_of::<usize>()) };
    // SAFETY: The memory is valid, and others load it as a whole.
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

/// The number of the current thread, in the initial PID namespace.
#[inline]
// Tested by: kunit who_runs_a_task_is_seen, kunit stages_before_a_worker_comes.
pub(crate) fn current_pid() -> c_int {
    // SAFETY: The current thread is valid, and its number does not change while it runs.
    unsafe { (*get_current()).pid }
}

/// An address in the code into which this is inlined, or 0 on a machine that it does not know (C's
/// `_THIS_IP_`).
#[inline(always)]
// Tested by: kunit who_runs_a_task_is_seen, kunit stages_before_a_worker_comes.
pub(crate) fn here() -> usize {
    #[cfg(any(CONFIG_X86_64, CONFIG_ARM64))]
    {
        let address: usize;

        // SAFETY: It writes one register.
        unsafe {
            #[cfg(CONFIG_X86_64)]
            core::arch::asm!(
                "lea {}, [rip]",
                out(reg) address,
                options(pure, nomem, nostack, preserves_flags)
            );
            #[cfg(CONFIG_ARM64)]
            core::arch::asm!(
                "adr {}, .",
                out(reg) address,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        address
    }
    #[cfg(not(any(CONFIG_X86_64, CONFIG_ARM64)))]
    0
}

/// Returns the `struct module` of the crate into which this function is inlined.
///
/// `__this_module` is a different object in every module, and the linker resolves it per module:
/// what is inlined into a consumer names the consumer. This is C's `THIS_MODULE`, and the reason
/// why everything between a consumer and this function is `#[inline]`. Code that is built into the
/// kernel gets one that stands for all of it (see `builtin.c`). That cannot be null, as C's is: only
/// the linker knows whether a consumer of this crate is a module.
#[inline(always)]
pub(crate) const fn this_module() -> *mut module {
    &raw mut kernel::bindings::__this_module
}

/// Handles a wake-up of one entry of a wait queue: the `func` of `struct wait_queue_entry`.
///
/// # Safety
///
/// `wake` must keep the contract of a wait queue function (`__wake_up_common()` in
/// [`kernel/sched/wait.c`](srctree/kernel/sched/wait.c)): it neither sleeps nor takes the head's
/// lock, and unlinks no other entry than its own.
pub(crate) unsafe trait WakeFunction {
    /// Is called with the head's lock held and interrupts off. A negative return value ends the
    /// walk, a positive one says that the waiter was woken.
    ///
    /// # Safety
    ///
    /// `entry` is linked in a queue of the implementing type's entries, whose lock is held, and
    /// `key` is what this queue's waker passes.
    unsafe fn wake(
        entry: *mut wait_queue_entry,
        mode: c_uint,
        flags: c_int,
        key: *mut c_void,
    ) -> c_int;
}

/// The wake function that the kernel calls for entries of type `T`.
///
/// # Safety
///
/// Only the kernel may call it, through the `func` of an entry of type `T`.
// Tested by: mutant entry-written-after-autoremove, model wait-one.
pub(crate) unsafe extern "C" fn wake_function<T: WakeFunction>(
    entry: *mut wait_queue_entry,
    mode: c_uint,
    flags: c_int,
    key: *mut c_void,
) -> c_int {
    // SAFETY: The kernel calls a wake function for linked entries and with the lock held; the key
    // comes unchanged from the waker of this queue.
    unsafe { T::wake(entry, mode, flags, key) }
}

/// Runs a work item: the `func` of `struct work_struct`.
///
/// # Safety
///
/// `run` must not touch the work item once it may have been freed.
pub(crate) unsafe trait WorkFunction {
    /// Is called once for each time that the item was queued, in process context.
    ///
    /// # Safety
    ///
    /// `work` was initialised with the implementing type's [`work_function`] and is valid until
    /// this function or somebody that it tells frees it.
    unsafe fn run(work: *mut work_struct);
}

/// The work function that the kernel calls for items of type `T`.
///
/// # Safety
///
/// Only the kernel may call it, through the `func` of an item of type `T`.
// Tested by: kunit each_closure_is_called_and_dropped_once.
pub(crate) unsafe extern "C" fn work_function<T: WorkFunction>(work: *mut work_struct) {
    // SAFETY: The kernel passes the item that was queued, which is still valid.
    unsafe { T::run(work) }
}

/// Initialises a work item to run `T` (C's `INIT_WORK()`).
///
/// # Safety
///
/// `work` must be valid for writing, and not queued.
#[inline]
// Tested by: kunit the_last_queued_task_takes_the_dispatcher_off_the_workqueue.
pub(crate) unsafe fn init_work<T: WorkFunction>(work: *mut work_struct) {
    // SAFETY: `work` is valid for writing by the caller's promise; name and key are static.
    unsafe {
        kernel::bindings::init_work_with_key(
            work,
            Some(work_function::<T>),
            false,
            lock_class::WORK.name().as_char_ptr(),
            lock_class::WORK.key().as_ptr(),
        )
    }
}

/// Makes an unbound workqueue for up to `max_active` items at a time.
// Tested by: kunit the_last_queued_task_takes_the_dispatcher_off_the_workqueue.
pub(crate) fn alloc_unbound_workqueue(
    name: &'static CStr,
    max_active: c_int,
) -> *mut workqueue_struct {
    // SAFETY: The format is a C string, and takes the one argument that is passed.
    unsafe {
        kernel::bindings::alloc_workqueue_noprof(
            c"%s".as_char_ptr(),
            kernel::bindings::wq_flags_WQ_UNBOUND,
            max_active,
            name.as_char_ptr(),
        )
    }
}

/// Let any CPU run the item (C's `WORK_CPU_UNBOUND`).
pub(crate) const WORK_CPU_UNBOUND: c_int =
    kernel::bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int;

/// Is told what becomes of modules.
pub(crate) trait ModuleEvents {
    /// The module has run its init function. May sleep.
    fn live(module: *mut module);

    /// The module has run its exit function, or its init function has failed: it is about to be freed. May
    /// sleep.
    fn going(module: *mut module);
}

/// A registration for [`ModuleEvents`], unregistered on drop.
pub(crate) struct ModuleNotifier<T: ModuleEvents> {
    block: Pin<KBox<Opaque<kernel::bindings::notifier_block>>>,
    _events: core::marker::PhantomData<T>,
}

// SAFETY: The notifier block is only touched by the kernel's notifier chain, which has a lock.
// Tested by: nothing.
unsafe impl<T: ModuleEvents> Send for ModuleNotifier<T> {}
// SAFETY: As above; nothing can be done through a shared reference.
// Tested by: nothing.
unsafe impl<T: ModuleEvents> Sync for ModuleNotifier<T> {}

impl<T: ModuleEvents> ModuleNotifier<T> {
    /// Registers; fails with `ENOMEM`, or as `register_module_notifier()` does.
    // Tested by: kunit unbinding_waits_for_the_tasks.
    pub(crate) fn new() -> Result<Self> {
        let block = KBox::pin(
            Opaque::new(kernel::bindings::notifier_block {
                notifier_call: Some(Self::call),
                ..pin_init::zeroed()
            }),
            GFP_KERNEL,
        )?;

        // SAFETY: The block is initialised, pinned on the heap, and lives until `drop` has taken
        // it off the chain.
        kernel::error::to_result(unsafe {
            kernel::bindings::register_module_notifier(block.get())
        })?;

        Ok(Self {
            block,
            _events: core::marker::PhantomData,
        })
    }

    // Tested by: kunit unbinding_waits_for_the_tasks, test failing-init.
    extern "C" fn call(
        _block: *mut kernel::bindings::notifier_block,
        state: c_ulong,
        data: *mut c_void,
    ) -> c_int {
        // CAST: The state is an enum, which notifiers get as an `unsigned long`.
        const LIVE: c_ulong = kernel::bindings::module_state_MODULE_STATE_LIVE as c_ulong;
        const GOING: c_ulong = kernel::bindings::module_state_MODULE_STATE_GOING as c_ulong;

        match state {
            LIVE => T::live(data.cast()),
            GOING => T::going(data.cast()),
            _ => (),
        }
        kernel::bindings::NOTIFY_OK as c_int
    }
}

impl<T: ModuleEvents> Drop for ModuleNotifier<T> {
    // Tested by: kunit unbinding_waits_for_the_tasks.
    fn drop(&mut self) {
        // SAFETY: The block was registered by `new`. Unregistering waits for running callbacks.
        unsafe { kernel::bindings::unregister_module_notifier(self.block.get()) };
    }
}

/// Is told by a thread that it dies of an oops.
pub(crate) trait ThreadDies {
    /// Is called by that thread, or by an interrupt that dies, which brings down the machine: in any
    /// context, wherever the oops was.
    fn dies();
}

/// A registration for [`ThreadDies`], unregistered on drop.
pub(crate) struct DieNotifier<T: ThreadDies> {
    block: Pin<KBox<Opaque<kernel::bindings::notifier_block>>>,
    _dies: core::marker::PhantomData<T>,
}

// SAFETY: The notifier block is only touched by the kernel's notifier chain, which has a lock.
// Tested by: nothing: the kernel serialises its users.
unsafe impl<T: ThreadDies> Send for DieNotifier<T> {}
// SAFETY: As for `Send`; nothing can be done through a shared reference.
// Tested by: nothing: the kernel serialises its users.
unsafe impl<T: ThreadDies> Sync for DieNotifier<T> {}

impl<T: ThreadDies> DieNotifier<T> {
    /// Registers; fails with `ENOMEM`.
    // Tested by: kunit unbinding_waits_for_the_tasks.
    pub(crate) fn new() -> Result<Self> {
        let block = KBox::pin(
            Opaque::new(kernel::bindings::notifier_block {
                notifier_call: Some(Self::call),
                // The last one: a debugger, for one, may have the thread go on.
                priority: c_int::MIN,
                ..pin_init::zeroed()
            }),
            GFP_KERNEL,
        )?;

        // SAFETY: The block is initialised, pinned on the heap, and lives until `drop` has taken
        // it off the chain.
        kernel::error::to_result(unsafe { register_die_notifier(block.get()) })?;

        Ok(Self {
            block,
            _dies: core::marker::PhantomData,
        })
    }

    // Tested by: kunit unbinding_waits_for_the_tasks, test failing-init.
    extern "C" fn call(
        _block: *mut kernel::bindings::notifier_block,
        event: c_ulong,
        _data: *mut c_void,
    ) -> c_int {
        // SAFETY: It may always be called.
        if unsafe { is_oops(event) } {
            T::dies();
        }
        kernel::bindings::NOTIFY_DONE as c_int
    }
}

impl<T: ThreadDies> Drop for DieNotifier<T> {
    // Tested by: kunit unbinding_waits_for_the_tasks.
    fn drop(&mut self) {
        // SAFETY: The block was registered by `new`. Unregistering waits for running callbacks.
        unsafe { unregister_die_notifier(self.block.get()) };
    }
}

/// Is told when the binding of a device to its driver ends, before any of its resources is released.
pub(crate) trait BindingEnds {
    /// May sleep. The device is locked.
    fn binding_ends(device: *mut device);
}

/// A registration for [`BindingEnds`] of the devices of one bus, unregistered on drop.
pub(crate) struct BusNotifier<T: BindingEnds> {
    block: Pin<KBox<Opaque<kernel::bindings::notifier_block>>>,
    bus: *const bus_type,
    _ends: core::marker::PhantomData<T>,
}

// SAFETY: The notifier block is only touched by the kernel's notifier chain, which has a lock.
// Tested by: nothing.
unsafe impl<T: BindingEnds> Send for BusNotifier<T> {}
// SAFETY: As above; nothing can be done through a shared reference.
// Tested by: nothing.
unsafe impl<T: BindingEnds> Sync for BusNotifier<T> {}

impl<T: BindingEnds> BusNotifier<T> {
    /// Registers; fails with `ENOMEM`, or as `bus_register_notifier()` does: with `EINVAL` if there is
    /// no bus at this address.
    // Tested by: kunit unbinding_waits_for_the_tasks.
    pub(crate) fn new(bus: *const bus_type) -> Result<Self> {
        let block = KBox::pin(
            Opaque::new(kernel::bindings::notifier_block {
                notifier_call: Some(Self::call),
                ..pin_init::zeroed()
            }),
            GFP_KERNEL,
        )?;

        // SAFETY: The address is looked up among those of the registered buses. The block is
        // initialised, pinned on the heap, and lives until `drop` has taken it off the chain.
        kernel::error::to_result(unsafe {
            kernel::bindings::bus_register_notifier(bus, block.get())
        })?;

        Ok(Self {
            block,
            bus,
            _ends: core::marker::PhantomData,
        })
    }

    // Tested by: kunit unbinding_waits_for_the_tasks, test failing-init.
    extern "C" fn call(
        _block: *mut kernel::bindings::notifier_block,
        event: c_ulong,
        data: *mut c_void,
    ) -> c_int {
        use kernel::bindings::{
            bus_notifier_event_BUS_NOTIFY_DRIVER_NOT_BOUND,
            bus_notifier_event_BUS_NOTIFY_UNBIND_DRIVER, //
        };

        // CAST: The event is an enum, which notifiers get as an `unsigned long`.
        if event == bus_notifier_event_BUS_NOTIFY_UNBIND_DRIVER as c_ulong
            || event == bus_notifier_event_BUS_NOTIFY_DRIVER_NOT_BOUND as c_ulong
        {
            T::binding_ends(data.cast());
        }
        kernel::bindings::NOTIFY_OK as c_int
    }
}

impl<T: BindingEnds> Drop for BusNotifier<T> {
    // Tested by: kunit unbinding_waits_for_the_tasks.
    fn drop(&mut self) {
        // SAFETY: The block was registered by `new`. Unregistering waits for running callbacks. If the
        // bus is gone, and its chain with it, then nothing is found, and this fails.
        unsafe { kernel::bindings::bus_unregister_notifier(self.bus, self.block.get()) };
    }
}

/// The function of a kernel thread of the test suites.
#[cfg(ASYNC_DOMAIN_KUNIT)]
pub(crate) trait ThreadFunction {
    /// Runs in the thread.
    fn run(self);
}

/// The thread function that the kernel calls for a boxed `T`.
///
/// # Safety
///
/// `data` must come from [`KBox<T>::into_raw`](KBox::into_raw).
#[cfg(ASYNC_DOMAIN_KUNIT)]
pub(crate) unsafe extern "C" fn thread_function<T: ThreadFunction>(data: *mut c_void) -> c_int {
    // SAFETY: By the caller's promise.
    let start = unsafe { KBox::<T>::from_raw(data.cast()) };
    KBox::into_inner(start).run();
    0
}

/// The driver of a faux device of the test suites.
#[cfg(ASYNC_DOMAIN_KUNIT)]
pub(crate) trait FauxDriver {
    /// Is called when the device is bound; may fail with an errno.
    fn probe(device: *mut device) -> c_int;
    /// Is called when it is unbound.
    fn remove(device: *mut device);
}

/// A faux device with a driver, both removed on drop.
#[cfg(ASYNC_DOMAIN_KUNIT)]
pub(crate) struct FauxDevice(*mut kernel::bindings::faux_device);

#[cfg(ASYNC_DOMAIN_KUNIT)]
// SAFETY: A faux device may be removed by any thread.
// Tested by: nothing: The suites themselves.
unsafe impl Send for FauxDevice {}

#[cfg(ASYNC_DOMAIN_KUNIT)]
impl FauxDevice {
    /// Makes a device and binds it; fails with `ENODEV`.
    pub(crate) fn new<T: FauxDriver>(name: &CStr) -> Result<Self> {
        /// # Safety
        ///
        /// `device` must be valid.
        unsafe extern "C" fn probe<T: FauxDriver>(
            device: *mut kernel::bindings::faux_device,
        ) -> c_int {
            // SAFETY: By the caller's promise.
            T::probe(unsafe { &raw mut (*device).dev })
        }
        /// # Safety
        ///
        /// As above.
        unsafe extern "C" fn remove<T: FauxDriver>(device: *mut kernel::bindings::faux_device) {
            // SAFETY: As above.
            T::remove(unsafe { &raw mut (*device).dev })
        }
        struct Ops<T>(core::marker::PhantomData<T>);
        impl<T: FauxDriver> Ops<T> {
            const OPS: kernel::bindings::faux_device_ops = kernel::bindings::faux_device_ops {
                probe: Some(probe::<T>),
                remove: Some(remove::<T>),
            };
        }

        // SAFETY: The name is copied, and the functions are static.
        let device = unsafe {
            kernel::bindings::faux_device_create(
                name.as_char_ptr(),
                core::ptr::null_mut(),
                &Ops::<T>::OPS,
            )
        };
        if device.is_null() {
            return Err(ENODEV);
        }
        Ok(Self(device))
    }

    pub(crate) fn device(&self) -> *mut device {
        // SAFETY: The device is valid until it is dropped.
        unsafe { &raw mut (*self.0).dev }
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
impl Drop for FauxDevice {
    fn drop(&mut self) {
        // SAFETY: The device was made by `new`, and is removed once.
        unsafe { kernel::bindings::faux_device_destroy(self.0) };
    }
}
