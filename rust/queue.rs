// SPDX-License-Identifier: GPL-2.0

//! The module's own workqueues: allocate, enqueue, drain.
//!
//! The safe workqueue API of the kernel crate can enqueue on the kernel's shared queues only. Queues
//! of our own have a concurrency limit that is chosen for tasks that wait for one another, and can be
//! drained when the module goes. There are three: one for tasks; and two for what tasks may be waiting for
//! while they hold all places of the first: polling futures, and what does not wait (unless a retire
//! part of a consumer's does). `PREEMPT_RT` has a fourth one, for what that may wait for in turn.
//!
//! # Concurrency
//!
//! An unbound queue runs up to `max_active` items of a NUMA node at a time. The queues ask for the
//! largest limit that the kernel has ([`MAX_ACTIVE`]); a node's share of it is in proportion to its
//! CPUs, and never less than eight (`min_active`, which modules cannot raise).
//!
//! A task may wait for *earlier* tasks of its domain, at any depth and on any nodes, without a deadlock: a
//! domain begins its tasks in cookie order, so that those which a task waits for have a place themselves (see
//! `domain/run/dispatch.rs`). Tasks that wait for anything else, such as later tasks or tasks of other domains,
//! can exhaust the places.
//!
//! The queues have no rescuer (`WQ_MEM_RECLAIM`): do not use them on the way to free memory.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::ffi;
use core::ptr;
use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

/// The largest number of tasks that can run or block at the same time (C's `WQ_MAX_ACTIVE`).
pub(crate) const MAX_ACTIVE: c_int = 2048;

/// A workqueue while the module is loaded, null before and after.
///
/// Nobody reads it at other times: consumers depend on this module, so that they are loaded after
/// its init function and unloaded before its exit function.
pub(crate) struct Workqueue(Atomic<*mut ffi::workqueue_struct>);

/// Where tasks run.
pub(crate) static TASKS: Workqueue = Workqueue(Atomic::new(ptr::null_mut()));

/// Where tasks are retired whose own thread cannot.
pub(crate) static RETIREMENT: Workqueue = Workqueue(Atomic::new(ptr::null_mut()));

/// Where tokens are finished, and memory is freed, on behalf of contexts in which locks cannot sleep. Only
/// destructors of items may wait there. Apart from the retirement, which may wait for these tokens.
#[cfg(CONFIG_PREEMPT_RT)]
pub(crate) static DEFERRED: Workqueue = Workqueue(Atomic::new(ptr::null_mut()));

/// Where spawned futures are polled. Apart from the tasks, which may hold all their places while they
/// wait for a future to be polled.
pub(crate) static POLLS: Workqueue = Workqueue(Atomic::new(ptr::null_mut()));

/// Owns a workqueue.
pub(crate) struct Queue(&'static Workqueue);

impl Queue {
    /// Allocates a queue; fails with `ENOMEM`. Each can be allocated once only at a time.
    pub(crate) fn new(queue: &'static Workqueue, name: &'static CStr) -> Result<Self> {
        let wq = ffi::alloc_unbound_workqueue(name, MAX_ACTIVE);

        if wq.is_null() {
            return Err(ENOMEM);
        }
        queue.0.store(wq, Relaxed);
        Ok(Self(queue))
    }
}

impl Drop for Queue {
    // Tested by: test foreign-driver, test torture.
    fn drop(&mut self) {
        // SAFETY: The pointer comes from `alloc_workqueue()`, and no task can be queued any more:
        // each one holds a reference on a module that depends on this one, or on this one itself, or is
        // waited for by a frame in such a module.
        // Only the tail of our own work functions may still be running; destroying the queue waits for it.
        unsafe { ffi::destroy_workqueue(self.0.raw()) };
        self.0 .0.store(ptr::null_mut(), Relaxed);
    }
}

impl Workqueue {
    #[inline]
    pub(crate) fn raw(&self) -> *mut ffi::workqueue_struct {
        self.0.load(Relaxed)
    }
}

/// Queues an item, on or near a NUMA node or, with [`ffi::NUMA_NO_NODE`], anywhere.
///
/// May be called in any context, interrupts off and hard interrupts included.
///
/// # Safety
///
/// `work` must have been initialised with [`ffi::init_work`], must not be queued already, and must
/// stay valid until its work function has been called. `node` must be a valid node, or none.
#[inline]
// Tested by: model domain-cancel, model dispatcher-cancel-last.
pub(crate) unsafe fn enqueue(work: *mut ffi::work_struct, node: c_int) {
    // SAFETY: The item is initialised, idle and stays valid until it has run; the node is valid, or none.
    unsafe { enqueue_on(&TASKS, work, node) };
}

/// Queues an item on one of the queues; `false` if that cannot be done just now, since another
/// thread is trying to [`cancel`] it.
///
/// # Safety
///
/// As [`enqueue`].
#[inline]
// Tested by: model domain-cancel, model dispatcher-cancel-last.
pub(crate) unsafe fn enqueue_on(
    queue: &Workqueue,
    work: *mut ffi::work_struct,
    node: c_int,
) -> bool {
    let queue = queue.raw();

    // SAFETY: The queue exists while any consumer can call this. The item is valid and idle, and the
    // node exists, by the caller's promise.
    unsafe {
        if node == ffi::NUMA_NO_NODE {
            ffi::queue_work_on(ffi::WORK_CPU_UNBOUND, queue, work)
        } else {
            ffi::queue_work_node(node, queue, work)
        }
    }
}

/// Queues an item that other tasks may be waiting for, behind nothing that waits.
///
/// May be called in any context.
///
/// # Safety
///
/// As [`enqueue`].
// Tested by: model domain-cancel, model dispatcher-cancel-last.
pub(crate) unsafe fn enqueue_retirement(work: *mut ffi::work_struct) {
    // SAFETY: The queue exists while any consumer can call this; the item is initialised, idle and stays.
    unsafe { ffi::queue_work_on(ffi::WORK_CPU_UNBOUND, RETIREMENT.raw(), work) };
}

/// Defers work that takes locks to a worker, where `PREEMPT_RT` does not allow to take them; `false` if it does.
///
/// The work item is initialised here, for `T`.
///
/// # Safety
///
/// As [`ffi::init_work`]. `item` must stay valid until its work function has been called, which must not wait for
/// anything that a consumer does, other than in a destructor.
#[cfg(CONFIG_PREEMPT_RT)]
// Tested by: model domain-cancel, model dispatcher-cancel-last.
pub(crate) unsafe fn defer<T: ffi::WorkFunction>(item: &T::Item) -> bool {
    if ffi::preemptible() {
        return false;
    }
    // SAFETY: The item is valid for writing and not queued, and stays until it has run. The queue exists while any
    // consumer can call this.
    unsafe {
        let work = ffi::init_work::<T>(item);
        ffi::queue_work_on(ffi::WORK_CPU_UNBOUND, DEFERRED.raw(), work);
    }
    true
}

/// Takes an item off the queue; `false` if it is not on it, since a worker has begun with it.
///
/// May be called in any context.
///
/// # Safety
///
/// `work` must have been initialised with [`ffi::init_work`], and nobody else may cancel it at the same time.
// Tested by: model domain-cancel, model dispatcher-cancel-last.
pub(crate) unsafe fn cancel(work: *mut ffi::work_struct) -> bool {
    // SAFETY: The item is valid by the caller's promise.
    unsafe { ffi::cancel_work(work) }
}
