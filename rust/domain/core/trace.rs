// SPDX-License-Identifier: GPL-2.0

//! The events of a domain's tasks, for those who watch; see [`crate::trace`].
//!
//! A task's events are recorded in the order in which they happen: those that move it into the order and
//! out of it under the domain's lock, the others by the thread to which the task belongs.

use super::{
    cookie::Cookie,
    domain::{
        AsyncDomain,
        State, //
    },
    future_header::{
        spawned_of,
        Spawned, //
    },
    header::{
        task_of,
        Task, //
    },
    pending::Node, //
};
use crate::{
    ffi,
    trace::is_on, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    error::Error,
    prelude::*, //
};

/// What stands for the domain in all events, those of its waiters too.
#[inline]
fn id(domain: &AsyncDomain) -> *const c_void {
    domain.queue.id()
}

/// What is run for the task at a node; null for a token.
///
/// # Safety
///
/// `node` must be valid.
// Tested by: test trace.
unsafe fn function(node: NonNull<Node>) -> *const c_void {
    // SAFETY: By the caller's promise; the node says what it is in.
    unsafe {
        if let Some(task) = task_of(node) {
            return (*task.as_ptr()).ops.run as *const c_void;
        }
        match spawned_of(node) {
            Some(spawned) => spawned.as_ref().ops.poll as *const c_void,
            None => ptr::null(),
        }
    }
}

/// A node has entered the order.
///
/// # Safety
///
/// `node` must be in the domain's order, whose lock must be held.
#[inline(always)]
// Tested by: test trace.
pub(crate) unsafe fn task_submit(domain: &AsyncDomain, node: *mut Node) {
    /// # Safety
    ///
    /// As above.
    #[cold]
    #[inline(never)]
    // Tested by: test trace.
    unsafe fn record(domain: &AsyncDomain, node: *mut Node) {
        // SAFETY: The node is valid by the caller's promise. The name is a C string in the domain.
        unsafe {
            let function = function(NonNull::new_unchecked(node));
            ffi::trace_task_submit(
                id(domain),
                Node::cookie_of(node).as_u64(),
                function,
                domain.name(),
            );
        }
    }

    if is_on!(__tracepoint_task_submit) {
        // SAFETY: By the caller's promise.
        unsafe { record(domain, node) }
    }
}

/// A task begins.
///
/// # Safety
///
/// The task must be in the order of its domain, and belong to the caller.
#[inline(always)]
// Tested by: test trace.
pub(crate) unsafe fn task_start(task: NonNull<Task>) {
    /// # Safety
    ///
    /// As above.
    #[cold]
    #[inline(never)]
    // Tested by: test trace.
    unsafe fn record(task: *mut Task) {
        // SAFETY: The task is valid, and its domain too, since it is in its order. A place that has moved
        // elsewhere has left its cookie behind.
        unsafe {
            let cookie = Node::cookie_of(&raw const (*task).node);
            let function = (*task).ops.run as *const c_void;
            ffi::trace_task_start(id(&*(*task).domain), cookie.as_u64(), function);
        }
    }

    if is_on!(__tracepoint_task_start) {
        // SAFETY: By the caller's promise.
        unsafe { record(task.as_ptr()) }
    }
}

/// A function begins that is run in its submitter's context.
#[inline(always)]
// Tested by: test trace.
pub(crate) fn task_start_here(domain: &AsyncDomain, cookie: Cookie) {
    if is_on!(__tracepoint_task_start) {
        // SAFETY: It may always be called.
        unsafe { ffi::trace_task_start(id(domain), cookie.as_u64(), ptr::null()) }
    }
}

/// A future is about to be polled.
///
/// # Safety
///
/// The future must belong to the caller, and be in the order of its domain unless that is null.
#[inline(always)]
// Tested by: kunit a_future_can_drop_its_own_domain, test trace.
pub(crate) unsafe fn poll_start(spawned: NonNull<Spawned>) {
    /// # Safety
    ///
    /// As above.
    #[cold]
    #[inline(never)]
    // Tested by: test trace.
    unsafe fn record(spawned: *mut Spawned) {
        // SAFETY: The future is valid; if it has a domain, then it is in its order.
        unsafe {
            if let Some(domain) = (*spawned).domain.get().as_ref() {
                let cookie = Node::cookie_of(&raw const (*spawned).node);
                let function = (*spawned).ops.poll as *const c_void;
                ffi::trace_task_start(id(domain), cookie.as_u64(), function);
            }
        }
    }

    if is_on!(__tracepoint_task_start) {
        // SAFETY: By the caller's promise.
        unsafe { record(spawned.as_ptr()) }
    }
}

/// A future has been polled, and is not ready.
///
/// # Safety
///
/// As above.
#[inline(always)]
// Tested by: kunit a_future_can_drop_its_own_domain, test trace.
pub(crate) unsafe fn task_yield(spawned: NonNull<Spawned>) {
    if is_on!(__tracepoint_task_yield) {
        // SAFETY: By the caller's promise.
        unsafe { spawned_event(ffi::trace_task_yield, spawned) }
    }
}

/// A task that has been taken back is about to be dropped.
///
/// # Safety
///
/// As [`task_start`].
#[inline(always)]
// Tested by: test trace.
pub(crate) unsafe fn task_cancel(task: NonNull<Task>) {
    if is_on!(__tracepoint_task_cancel) {
        // SAFETY: By the caller's promise.
        unsafe { task_event(ffi::trace_task_cancel, task) }
    }
}

/// A future that has been cancelled is about to be dropped.
///
/// # Safety
///
/// As [`poll_start`].
#[inline(always)]
// Tested by: kunit a_future_can_drop_its_own_domain, test trace.
pub(crate) unsafe fn spawned_cancel(spawned: NonNull<Spawned>) {
    if is_on!(__tracepoint_task_cancel) {
        // SAFETY: By the caller's promise.
        unsafe { spawned_event(ffi::trace_task_cancel, spawned) }
    }
}

/// The parallel part of a task is done.
///
/// # Safety
///
/// As [`task_start`].
#[inline(always)]
// Tested by: test trace.
pub(crate) unsafe fn task_ready(task: NonNull<Task>) {
    if is_on!(__tracepoint_task_ready) {
        // SAFETY: By the caller's promise.
        unsafe { task_event(ffi::trace_task_ready, task) }
    }
}

/// The in-order part of a task begins.
///
/// # Safety
///
/// As [`task_start`].
#[inline(always)]
// Tested by: test trace.
pub(crate) unsafe fn task_retire(task: NonNull<Task>) {
    if is_on!(__tracepoint_task_retire) {
        // SAFETY: By the caller's promise.
        unsafe { task_event(ffi::trace_task_retire, task) }
    }
}

/// A task reports an error.
#[inline(always)]
// Tested by: test trace.
pub(crate) fn task_error(domain: &AsyncDomain, cookie: Cookie, error: Error) {
    if is_on!(__tracepoint_task_error) {
        // SAFETY: It may always be called.
        unsafe { ffi::trace_task_error(id(domain), cookie.as_u64(), error.to_errno()) }
    }
}

/// A node has left the order, which is `state`'s.
///
/// # Safety
///
/// `node` must be valid, and the domain's lock be held.
#[inline(always)]
// Tested by: test trace.
pub(crate) unsafe fn task_finish(domain: &AsyncDomain, state: &State, node: *mut Node) {
    /// # Safety
    ///
    /// As above.
    #[cold]
    #[inline(never)]
    // Tested by: test trace.
    unsafe fn record(domain: &AsyncDomain, state: &State, node: *mut Node) {
        // 0 says that none is in progress.
        let frontier = state.pending.lowest().map_or(0, Cookie::as_u64);

        // SAFETY: By the caller's promise.
        unsafe { ffi::trace_task_finish(id(domain), Node::cookie_of(node).as_u64(), frontier) };
    }

    if is_on!(__tracepoint_task_finish) {
        // SAFETY: By the caller's promise.
        unsafe { record(domain, state, node) }
    }
}

/// # Safety
///
/// As [`task_start`].
#[cold]
#[inline(never)]
// Tested by: test trace.
unsafe fn task_event(record: unsafe extern "C" fn(*const c_void, u64), task: NonNull<Task>) {
    // SAFETY: The task is valid, and its domain too, since it is in its order.
    unsafe {
        let task = task.as_ptr();
        let cookie = Node::cookie_of(&raw const (*task).node);
        record(id(&*(*task).domain), cookie.as_u64());
    }
}

/// Nothing is recorded of a future that has dropped its domain: it counts as finished.
///
/// # Safety
///
/// As [`poll_start`].
#[cold]
#[inline(never)]
// Tested by: kunit a_future_can_drop_its_own_domain, test trace.
unsafe fn spawned_event(
    record: unsafe extern "C" fn(*const c_void, u64),
    spawned: NonNull<Spawned>,
) {
    // SAFETY: The future is valid; if it has a domain, then it is in its order.
    unsafe {
        let spawned = spawned.as_ptr();
        if let Some(domain) = (*spawned).domain.get().as_ref() {
            let cookie = Node::cookie_of(&raw const (*spawned).node);
            record(id(domain), cookie.as_u64());
        }
    }
}
