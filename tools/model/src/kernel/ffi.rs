// SPDX-License-Identifier: GPL-2.0

//! What `rust/ffi.rs` gives to the module: the kernel's wait queues, lists and threads, by name.
//!
//! Functions have the contracts of the kernel's of the same names, which the module's source keeps or
//! breaks; `unsafe` blocks here rely on that. Memory that a scenario has allocated stays until the end
//! of the execution, so that its wrong use is seen, and does no harm.
//!
//! Pointers of lists are kept twice: as plain memory, for who has the lock, and as loom's atomics, for
//! who looks without it.

#![allow(non_camel_case_types)]

use super::{
    atomic::{
        Atomic,
        Order, //
    },
    is_broken,
    sched,
    workqueue,
    world, //
};
use core::ffi::{
    c_char,
    c_int,
    c_long,
    c_uint,
    c_ulong,
    c_void, //
};
use kernel::sync::LockClassKey;
use loom::sync::atomic::Ordering::{
    Acquire,
    Relaxed,
    Release, //
};
use std::ptr::{
    self,
    NonNull, //
};

pub use super::sched::{
    TASK_FREEZABLE,
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_NOLOAD,
    TASK_NORMAL,
    TASK_UNINTERRUPTIBLE, //
};

// --- Types ---------------------------------------------------------------------------------------

pub struct task_struct;
pub struct lockdep_map;
pub struct workqueue_struct;

/// What a module's memory is.
pub struct module {
    pub state: c_uint,
    /// With one that the module loader has (`MODULE_REF_BASE`).
    refs: Atomic<i32>,
}

#[repr(C)]
pub struct list_head {
    pub next: *mut list_head,
    pub prev: *mut list_head,
}

pub type wait_queue_func =
    unsafe extern "C-unwind" fn(*mut wait_queue_entry, c_uint, c_int, *mut c_void) -> c_int;

#[repr(C)]
pub struct wait_queue_entry {
    pub flags: c_uint,
    pub private: *mut c_void,
    pub func: Option<wait_queue_func>,
    pub entry: list_head,
}

/// The first field, so that it has the address of the head.
#[repr(C)]
pub struct wait_queue_head {
    pub lock: raw_spinlock_t,
    pub head: list_head,
}

pub struct spinlock_t(u8);
pub type raw_spinlock_t = spinlock_t;

pub static mut async_domain_registry_lock: spinlock_t = spinlock_t(0);
pub static mut async_domain_dispatcher_lock: spinlock_t = spinlock_t(0);
pub static mut async_domain_spill_lock: raw_spinlock_t = spinlock_t(0);

#[repr(C)]
pub struct work_struct {
    pub func: unsafe fn(*mut work_struct),
}

// --- Callbacks -----------------------------------------------------------------------------------

/// # Safety
///
/// As in `rust/ffi.rs`.
pub unsafe trait WakeFunction {
    unsafe fn wake(
        entry: *mut wait_queue_entry,
        mode: c_uint,
        flags: c_int,
        key: *mut c_void,
    ) -> c_int;
}

/// (May unwind: what loom finds is a panic.)
pub unsafe extern "C-unwind" fn wake_function<T: WakeFunction>(
    entry: *mut wait_queue_entry,
    mode: c_uint,
    flags: c_int,
    key: *mut c_void,
) -> c_int {
    // SAFETY: As `rust/ffi.rs`.
    unsafe { T::wake(entry, mode, flags, key) }
}

/// # Safety
///
/// As above.
pub unsafe trait HasWork: Sized {
    const OFFSET: usize;

    fn work(&self) -> *mut work_struct {
        ptr::from_ref(self)
            .wrapping_byte_add(Self::OFFSET)
            .cast_mut()
            .cast()
    }
}

macro_rules! impl_has_work {
    ($type:ty, $field:ident) => {
        // SAFETY: It is the offset of the field.
        unsafe impl crate::ffi::HasWork for $type {
            const OFFSET: usize = core::mem::offset_of!($type, $field);
        }
    };
}
pub(crate) use impl_has_work;

/// # Safety
///
/// As above.
pub unsafe trait WorkFunction {
    type Item: HasWork;

    unsafe fn run(item: NonNull<Self::Item>);
}

unsafe fn work_function<T: WorkFunction>(work: *mut work_struct) {
    // SAFETY: As `rust/ffi/work.rs`.
    unsafe {
        T::run(NonNull::new_unchecked(
            work.byte_sub(T::Item::OFFSET).cast(),
        ))
    }
}

pub unsafe fn init_work<T: WorkFunction>(item: &T::Item) -> *mut work_struct {
    let work = item.work();
    // SAFETY: The item is valid for writing.
    unsafe { (*work).func = work_function::<T> };
    work
}

pub const fn this_module() -> *mut module {
    ptr::null_mut()
}

// --- Modules (kernel/module/main.c) --------------------------------------------------------------------

pub type module_state = c_uint;
pub const module_state_MODULE_STATE_LIVE: module_state = 0;
pub const module_state_MODULE_STATE_COMING: module_state = 1;

/// Loads a module.
pub fn load_module() -> *mut module {
    let module = world::allocate::<module>("a module");
    // SAFETY: The memory is ours.
    unsafe {
        module.write(module {
            state: module_state_MODULE_STATE_LIVE,
            refs: Atomic::new(1),
        });
        (*module).refs.load(Order::Relaxed);
    }
    module
}

/// `delete_module()`: unloads a module; `false` if it is in use.
pub fn unload_module(module: *mut module) -> bool {
    world::touch(module.addr());
    // SAFETY: The memory stays. (The kernel's orders: `atomic_sub_return()` is fully ordered.)
    let unused = unsafe { (*module).refs.cmpxchg(1, 0, Order::Full) }.is_ok();
    if unused {
        world::memory_ends(module.addr());
    }
    unused
}

pub unsafe fn try_module_get(module: *mut module) -> bool {
    if module.is_null() {
        return true;
    }
    world::touch(module.addr());
    // SAFETY: By the contract of the kernel's function.
    let refs = unsafe { &(*module).refs };
    let mut n = refs.load(Order::Relaxed);
    loop {
        if n == 0 {
            return false;
        }
        match refs.cmpxchg(n, n + 1, Order::Relaxed) {
            Ok(_) => return true,
            Err(other) => n = other,
        }
    }
}

pub unsafe fn module_put(module: *mut module) {
    if !module.is_null() {
        world::touch(module.addr());
        // SAFETY: By the contract of the kernel's function, which gives release at least.
        let old = unsafe { (*module).refs.fetch_sub(1, Order::Release) };
        assert!(old > 1, "a reference on a module was put twice");
    }
}

// --- Locks ---------------------------------------------------------------------------------------

pub unsafe fn wait_queue_reclass(
    _head: *mut wait_queue_head,
    _name: *const c_char,
    _key: *mut LockClassKey,
) {
}

pub unsafe fn __init_waitqueue_head(
    head: *mut wait_queue_head,
    _name: *const c_char,
    _key: *mut LockClassKey,
) {
    // SAFETY: By the contract of the kernel's function.
    unsafe {
        let list = &raw mut (*head).head;
        (*list).next = list;
        (*list).prev = list;
    }
    world::new_lock(head.addr());
}

pub unsafe fn lockdep_init_map(
    _map: *mut lockdep_map,
    _name: *const c_char,
    _key: *mut LockClassKey,
) {
}

pub unsafe fn lockdep_copy_map(_to: *mut lockdep_map, _from: *const lockdep_map) {}

pub unsafe fn lock_map_acquire(_map: *mut lockdep_map) {}

pub unsafe fn lock_map_release(_map: *mut lockdep_map) {}

pub fn with_spin_locks<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// What is read and written with no order.
pub trait Once: Sized {
    fn read(from: &Atomic<Self>) -> Self;
    fn write(to: &Atomic<Self>, value: Self);
}

impl<T> Once for *mut T {
    fn read(from: &Atomic<Self>) -> Self {
        from.load(Order::Relaxed)
    }
    fn write(to: &Atomic<Self>, value: Self) {
        to.store(value, Order::Relaxed);
    }
}

/// The number of a thread, which is only shown: not to be explored.
impl Once for c_int {
    fn read(_from: &Atomic<Self>) -> Self {
        0
    }
    fn write(_to: &Atomic<Self>, _value: Self) {}
}

pub fn read_once<T: Once>(from: &Atomic<T>) -> T {
    T::read(from)
}

pub fn write_once<T: Once>(to: &Atomic<T>, value: T) {
    T::write(to, value);
}

#[path = "../../../../rust/ffi/irq_lock.rs"]
pub mod irq_lock;

/// Whether it is the lock of the registry, under which no list is changed that is modelled.
pub fn is_registry_lock(address: usize) -> bool {
    address == (&raw const async_domain_registry_lock).addr()
}

/// The locks that are static exist from the beginning.
pub fn new_static_locks() {
    world::new_lock((&raw const async_domain_registry_lock).addr());
    world::new_lock((&raw const async_domain_dispatcher_lock).addr());
}

pub unsafe fn raw_spin_lock_irqsave(lock: *mut raw_spinlock_t) -> c_ulong {
    take_lock(lock.addr())
}

pub unsafe fn raw_spin_unlock_irqrestore(lock: *mut raw_spinlock_t, _flags: c_ulong) {
    give_lock(lock.addr());
}

fn take_lock(address: usize) -> c_ulong {
    world::touch(address);
    let lock = world::lock(address);
    let guard = lock.mutex.lock().unwrap();

    world::touch(address);
    // SAFETY: The guard is dropped before the lock: see `give_lock`.
    lock.guard
        .replace(Some(unsafe { std::mem::transmute(guard) }));
    lock.holder.set(Some(sched::current()));
    0
}

fn give_lock(address: usize) {
    world::touch(address);
    let lock = world::lock(address);

    assert_eq!(
        lock.holder.take(),
        Some(sched::current()),
        "unlocked by another"
    );
    let guard = lock.guard.take();
    drop(guard);
}

fn assert_locked() {
    assert!(
        world::holds_a_lock(sched::current()),
        "a list was changed or walked without a lock"
    );
}

// --- Lists ---------------------------------------------------------------------------------------

/// Sets pointers of a neighbour, or of an entry that nobody else sees.
unsafe fn set_next(list: *mut list_head, next: *mut list_head) {
    world::touch(list.addr());
    // SAFETY: The head is valid, and its lock held.
    unsafe { (*list).next = next };
    if let Some(links) = world::links(list.addr()) {
        links.next.store(next.addr(), Relaxed);
    }
}

unsafe fn set_prev(list: *mut list_head, prev: *mut list_head) {
    world::touch(list.addr());
    // SAFETY: As above.
    unsafe { (*list).prev = prev };
    if let Some(links) = world::links(list.addr()) {
        links.prev.store(prev.addr(), Relaxed);
    }
}

pub unsafe fn list_add(new: *mut list_head, prev: *mut list_head) {
    assert_locked();
    let start = new.addr() - core::mem::offset_of!(wait_queue_entry, entry);
    world::entry_begins(start, size_of::<wait_queue_entry>());
    world::touch(new.addr());
    world::new_links(new.addr());
    // SAFETY: By the contract of the kernel's function.
    unsafe {
        let next = (*prev).next;
        set_prev(next, new);
        set_next(new, next);
        set_prev(new, prev);
        set_next(prev, new);
    }
}

unsafe fn list_del_entry(entry: *mut list_head) {
    assert_locked();
    world::touch(entry.addr());
    world::links(entry.addr())
        .expect("an entry that was linked")
        .linked
        .set(false);
    // SAFETY: By the contract of the kernel's function.
    unsafe {
        let (next, prev) = ((*entry).next, (*entry).prev);
        set_prev(next, prev);
        set_next(prev, next);
    }
}

pub unsafe fn list_del_init(entry: *mut list_head) {
    // SAFETY: By the contract of the kernel's function.
    unsafe {
        list_del_entry(entry);
        set_next(entry, entry);
        set_prev(entry, entry);
    }
}

pub unsafe fn list_del_init_careful(entry: *mut list_head) {
    // SAFETY: By the contract of the kernel's function.
    unsafe {
        list_del_entry(entry);
        set_prev(entry, entry);
        (*entry).next = entry;
    }
    let order = if is_broken("unlink-without-release") {
        Relaxed
    } else {
        Release
    };
    let links = world::links(entry.addr()).expect("an entry that was linked");
    links.next.store(entry.addr(), order);
}

pub unsafe fn list_empty_careful(list: *mut list_head) -> bool {
    world::touch(list.addr());
    let order = if is_broken("look-without-acquire") {
        Relaxed
    } else {
        Acquire
    };
    let links = world::links(list.addr()).expect("an entry that was linked");

    links.next.load(order) == list.addr() && links.prev.load(Relaxed) == list.addr()
}

// --- Wait queues (kernel/sched/wait.c) ---------------------------------------------------------------

/// `__wake_up_common()`
pub unsafe fn __wake_up_locked_key(head: *mut wait_queue_head, mode: c_uint, key: *mut c_void) {
    assert_locked();
    let entry_of = |list: *mut list_head| {
        list.wrapping_byte_sub(core::mem::offset_of!(wait_queue_entry, entry))
            .cast::<wait_queue_entry>()
    };
    // SAFETY: By the contract of the kernel's function.
    unsafe {
        let end = &raw mut (*head).head;
        let mut list = (*end).next;
        while list != end {
            world::touch(list.addr());
            let next = (*list).next;
            let entry = entry_of(list);
            let func = (*entry).func.expect("a wake function");
            if func(entry, mode, 0, key) < 0 {
                break;
            }
            list = next;
        }
    }
}

pub unsafe fn autoremove_wake_function(
    entry: *mut wait_queue_entry,
    mode: c_uint,
    _flags: c_int,
    _key: *mut c_void,
) -> c_int {
    world::touch(entry.addr());
    // SAFETY: By the contract of the kernel's function.
    unsafe {
        let (task, list) = ((*entry).private.cast(), &raw mut (*entry).entry);
        if is_broken("unlink-before-wake") {
            list_del_init_careful(list);
            world::touch(entry.addr());
            return sched::default_wake_function(task, mode);
        }
        let ret = sched::default_wake_function(task, mode);
        if ret != 0 {
            list_del_init_careful(list);
        }
        ret
    }
}

pub unsafe fn finish_wait(head: *mut wait_queue_head, entry: *mut wait_queue_entry) {
    // SAFETY: By the contract of the kernel's function.
    unsafe {
        let list = &raw mut (*entry).entry;

        sched::set_current_state_plain(sched::TASK_RUNNING);
        if !list_empty_careful(list) {
            take_lock(head.addr());
            list_del_init(list);
            give_lock(head.addr());
        }
    }
}

// --- Threads -------------------------------------------------------------------------------------

pub fn current() -> *mut task_struct {
    sched::task_of(sched::current())
}

/// No thread dies.
pub trait ThreadDies {
    fn dies();
}

pub unsafe fn panic(_reason: *const c_char) -> ! {
    unreachable!("no thread dies")
}

/// There is no time.
pub fn ticks() -> u32 {
    0
}

pub const CONFIG_HZ: u32 = 250;

pub fn ktime_get() -> i64 {
    0
}

/// All have the same name.
pub fn current_pid() -> c_int {
    1
}

pub fn in_task() -> bool {
    true
}

pub unsafe fn set_current_state(state: c_uint) {
    sched::set_current_state(state);
}

pub unsafe fn schedule_timeout(timeout: c_long) -> c_long {
    sched::schedule_timeout(timeout)
}

pub const HRTIMER_MODE_ABS: c_uint = 0;

pub unsafe fn schedule_hrtimeout_range(_expires: *mut i64, _slack: u64, _mode: c_uint) -> c_int {
    sched::schedule_timeout(1) as c_int
}

pub fn with_io_wait<R>(f: impl FnOnce() -> R) -> R {
    f()
}

pub fn signal_pending_state(state: c_uint) -> bool {
    sched::signal_pending_state(state)
}

pub fn cond_resched() {}

// --- Workqueues and memory -----------------------------------------------------------------------

pub const NUMA_NO_NODE: c_int = -1;
pub const MAX_NUMNODES: c_uint = 2;
pub const WORK_CPU_UNBOUND: c_int = 64;

pub unsafe fn queue_work_on(
    _cpu: c_int,
    _queue: *mut workqueue_struct,
    work: *mut work_struct,
) -> bool {
    workqueue::queue_work(work)
}

pub unsafe fn queue_work_node(
    _node: c_int,
    _queue: *mut workqueue_struct,
    work: *mut work_struct,
) -> bool {
    workqueue::queue_work(work)
}

pub unsafe fn cancel_work(work: *mut work_struct) -> bool {
    workqueue::cancel_work(work)
}

pub fn alloc_unbound_workqueue(
    _name: &'static core::ffi::CStr,
    _max_active: c_int,
) -> *mut workqueue_struct {
    ptr::dangling_mut()
}

pub unsafe fn destroy_workqueue(_queue: *mut workqueue_struct) {}

/// The memory stays, so that who uses it nevertheless is seen.
pub unsafe fn kfree(memory: *const c_void) {
    if !memory.is_null() {
        world::memory_ends(memory.addr());
    }
}

// --- Tracepoints ---------------------------------------------------------------------------------

/// Nobody listens: the model has no tracepoints (`CONFIG_TRACEPOINTS`), and these are not called.
macro_rules! nobody_listens {
    ($($name:ident($($argument:ty),*);)*) => {$(
        pub unsafe extern "C" fn $name($(_: $argument),*) {
            unreachable!()
        }
    )*};
}

nobody_listens! {
    trace_task_submit(*const c_void, u64, *const c_void, *const c_char);
    trace_task_start(*const c_void, u64, *const c_void);
    trace_task_yield(*const c_void, u64);
    trace_task_ready(*const c_void, u64);
    trace_task_retire(*const c_void, u64);
    trace_task_cancel(*const c_void, u64);
    trace_task_error(*const c_void, u64, c_int);
    trace_task_finish(*const c_void, u64, u64);
    trace_wait_queue(*const c_void, *const wait_queue_entry, u64);
    trace_wait_wake(*const c_void, *const wait_queue_entry, u64);
    trace_wait_skip(*const c_void, *const wait_queue_entry, u64);
    trace_wait_spurious(*const c_void, *const wait_queue_entry, u64);
    trace_wait_gone(*const c_void, *const wait_queue_entry, u64);
}
