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
        Owned,
        TaskRef,
        ToRetire,
        ToRun, //
    },
    pending::NodeRef, //
};
use crate::{
    ffi,
    trace::is_on, //
};
use core::ptr;
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
fn function(node: NodeRef<'_>) -> *const c_void {
    if let Some(task) = task_of(node) {
        return task.ops.run as *const c_void;
    }
    spawned_of(node).map_or(ptr::null(), |spawned| spawned.ops.poll as *const c_void)
}

/// A node has entered the order of a domain, whose lock is held.
#[inline(always)]
pub(crate) fn task_submit(domain: &AsyncDomain, node: NodeRef<'_>) {
    #[cold]
    #[inline(never)]
    // Tested by: test trace.
    fn record(domain: &AsyncDomain, node: NodeRef<'_>) {
        let cookie = node.cookie().as_u64();

        // SAFETY: The name is a C string in the domain. The addresses are not followed.
        unsafe { ffi::trace_task_submit(id(domain), cookie, function(node), domain.name()) }
    }

    if is_on!(__tracepoint_task_submit) {
        record(domain, node)
    }
}

/// What is run for a task begins.
#[cold]
#[inline(never)]
// Tested by: test trace.
fn start(domain: &AsyncDomain, cookie: Cookie, function: *const c_void) {
    // SAFETY: The addresses are not followed.
    unsafe { ffi::trace_task_start(id(domain), cookie.as_u64(), function) }
}

/// A task begins.
#[inline(always)]
pub(crate) fn task_start(task: &Owned<ToRun>) {
    if is_on!(__tracepoint_task_start) {
        // A place that has moved elsewhere has left its cookie behind.
        start(
            task.domain(),
            task.node.cookie(),
            task.ops.run as *const c_void,
        )
    }
}

/// A function begins that is run in its submitter's context.
#[inline(always)]
pub(crate) fn task_start_here(domain: &AsyncDomain, cookie: Cookie) {
    if is_on!(__tracepoint_task_start) {
        start(domain, cookie, ptr::null())
    }
}

/// A future is about to be polled by the caller, to which it belongs.
#[inline(always)]
pub(crate) fn poll_start(spawned: &Spawned) {
    if is_on!(__tracepoint_task_start) {
        if let Some(domain) = spawned.domain() {
            start(
                domain,
                spawned.node.cookie(),
                spawned.ops.poll as *const c_void,
            )
        }
    }
}

/// Tells of a task what needs no more than which it is.
type Event = unsafe extern "C" fn(*const c_void, u64);

#[cold]
#[inline(never)]
// Tested by: test trace.
fn event(record: Event, domain: &AsyncDomain, cookie: Cookie) {
    // SAFETY: It is a function of `trace.c`, and does not follow the address.
    unsafe { record(id(domain), cookie.as_u64()) }
}

/// Nothing is recorded of a future that has dropped its domain: it counts as finished.
#[cold]
#[inline(never)]
fn spawned_event(record: Event, spawned: &Spawned) {
    if let Some(domain) = spawned.domain() {
        event(record, domain, spawned.node.cookie())
    }
}

/// A future has been polled by the caller, to which it belongs, and is not ready.
#[inline(always)]
pub(crate) fn task_yield(spawned: &Spawned) {
    if is_on!(__tracepoint_task_yield) {
        spawned_event(ffi::trace_task_yield, spawned)
    }
}

/// A task that has been dequeued is about to be dropped.
#[inline(always)]
pub(crate) fn task_cancel(task: &Owned<ToRun>) {
    if is_on!(__tracepoint_task_cancel) {
        event(ffi::trace_task_cancel, task.domain(), task.node.cookie())
    }
}

/// A future that has been cancelled, and belongs to the caller, is about to be dropped.
#[inline(always)]
pub(crate) fn spawned_cancel(spawned: &Spawned) {
    if is_on!(__tracepoint_task_cancel) {
        spawned_event(ffi::trace_task_cancel, spawned)
    }
}

/// The parallel part of a task of this domain is done.
#[inline(always)]
pub(crate) fn task_ready(domain: &AsyncDomain, task: TaskRef<'_>) {
    if is_on!(__tracepoint_task_ready) {
        event(ffi::trace_task_ready, domain, task.node.cookie())
    }
}

/// The in-order part of a task begins.
#[inline(always)]
pub(crate) fn task_retire(task: &Owned<ToRetire>) {
    if is_on!(__tracepoint_task_retire) {
        event(ffi::trace_task_retire, task.domain(), task.node.cookie())
    }
}

/// A task reports an error.
#[inline(always)]
// Tested by: test trace.
pub(crate) fn task_error(domain: &AsyncDomain, cookie: Cookie, error: Error) {
    if is_on!(__tracepoint_task_error) {
        // SAFETY: The address is not followed.
        unsafe { ffi::trace_task_error(id(domain), cookie.as_u64(), error.to_errno()) }
    }
}

/// A node has left the order, which is `state`'s. Its domain's lock is held.
#[inline(always)]
pub(crate) fn task_finish(domain: &AsyncDomain, state: &State, node: NodeRef<'_>) {
    #[cold]
    #[inline(never)]
    // Tested by: test trace.
    fn record(domain: &AsyncDomain, state: &State, node: NodeRef<'_>) {
        // 0 says that none is in progress.
        let frontier = state.pending.lowest().map_or(0, Cookie::as_u64);

        // SAFETY: The address is not followed.
        unsafe { ffi::trace_task_finish(id(domain), node.cookie().as_u64(), frontier) };
    }

    if is_on!(__tracepoint_task_finish) {
        record(domain, state, node)
    }
}
