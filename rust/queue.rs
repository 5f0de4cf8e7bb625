// SPDX-License-Identifier: GPL-2.0

//! The module's own workqueue: allocate, enqueue, drain.
//!
//! The safe workqueue API of the kernel crate can enqueue on the kernel's shared queues only. A
//! queue of our own has a concurrency limit that is chosen for tasks that wait for one another,
//! and can be drained when the module goes.
//!
//! # Concurrency
//!
//! Items of an unbound queue start in the order in which they were queued, as long as fewer than
//! `max_active` of them run. The queue asks for the largest limit that the kernel has
//! ([`MAX_ACTIVE`]); a NUMA node's share of it is in proportion to its CPUs, and never less than
//! eight (`min_active`, which modules cannot raise). A task may therefore wait for *earlier* tasks
//! of its domain at any depth: the lowest unfinished task has always been started before every
//! task that waits for it, because a domain queues its tasks in cookie order under its lock.
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

/// The queue while the module is loaded, null before and after.
///
/// Nobody reads it at other times: consumers depend on this module, so that they are loaded after
/// its init function and unloaded before its exit function.
static WORKQUEUE: Atomic<*mut ffi::workqueue_struct> = Atomic::new(ptr::null_mut());

/// Owns the module's workqueue.
pub(crate) struct Queue(());

impl Queue {
    /// Allocates the queue; fails with `ENOMEM`. There can only be one at a time.
    pub(crate) fn new() -> Result<Self> {
        let queue = ffi::alloc_unbound_workqueue(c"async_domain", MAX_ACTIVE);

        if queue.is_null() {
            return Err(ENOMEM);
        }
        WORKQUEUE.store(queue, Relaxed);
        Ok(Self(()))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: The pointer comes from `alloc_workqueue()`, and no task can be queued any more:
        // each one holds a reference on a module that depends on this one, or on this one itself.
        // What is left of the tasks that ran is the end of their work function, in our own text;
        // destroying the queue waits for it.
        unsafe { ffi::destroy_workqueue(WORKQUEUE.load(Relaxed)) };
        WORKQUEUE.store(ptr::null_mut(), Relaxed);
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
pub(crate) unsafe fn enqueue(work: *mut ffi::work_struct, node: c_int) {
    let queue = WORKQUEUE.load(Relaxed);

    // SAFETY: The queue exists while any consumer can call this. The item is valid and idle, and the
    // node exists, by the caller's promise.
    unsafe {
        if node == ffi::NUMA_NO_NODE {
            ffi::queue_work_on(ffi::WORK_CPU_UNBOUND, queue, work);
        } else {
            ffi::queue_work_node(node, queue, work);
        }
    }
}

/// Takes an item off the queue; `false` if it is not on it, since a worker has begun with it.
///
/// May be called in any context.
///
/// # Safety
///
/// `work` must have been initialised with [`ffi::init_work`], and nobody else may queue or cancel it
/// at the same time.
pub(crate) unsafe fn cancel(work: *mut ffi::work_struct) -> bool {
    // SAFETY: The item is valid by the caller's promise.
    unsafe { ffi::cancel_work(work) }
}

/// The queue, for tests.
#[cfg(ASYNC_DOMAIN_KUNIT)]
pub(crate) fn raw() -> *mut ffi::workqueue_struct {
    WORKQUEUE.load(Relaxed)
}
