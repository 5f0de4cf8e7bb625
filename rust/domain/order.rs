// SPDX-License-Identifier: GPL-2.0

//! The order of a domain's tasks: entering it, leaving it, and who retires next.

use super::{
    cookie::AllBelow,
    pending::{
        flag,
        Node, //
    },
    registry,
    task::{
        task_of,
        Task, //
    },
    AsyncDomain,
    Cookie,
    State, //
};
use crate::{
    ffi,
    wait::Locked, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// Wakes those who wait for what lies below the frontier. Returns the task at the frontier if it is
/// to be retired: it belongs to the caller, who must see to that.
#[must_use]
#[inline]
pub(super) fn advance(state: &mut Locked<'_, State, AllBelow>) -> Option<NonNull<Task>> {
    let mut frontier = state.frontier();
    state.wake(&mut frontier);

    let first = state.pending.first()?;
    // SAFETY: Nodes in the list are valid.
    unsafe {
        let flags = &*first.as_ptr();
        if !flags.has(flag::READY) || flags.has(flag::RETIRING) {
            return None;
        }
        flags.set(flag::RETIRING);
        task_of(first)
    }
}

impl AsyncDomain {
    /// Takes a cookie and appends a node to the order; calls `then` with the lock held. Returns the
    /// node's cookie.
    ///
    /// # Errors
    ///
    /// `ESHUTDOWN` if the domain is closed, `EAGAIN` if it has as many unfinished tasks as it may.
    ///
    /// # Safety
    ///
    /// `node` must be valid, in no list, and stay in place until it has been removed.
    #[inline]
    pub(super) unsafe fn link(&self, node: *mut Node, then: impl FnOnce()) -> Result<Cookie> {
        registry::enter(self);
        self.queue.with(|state| {
            state.admit(1)?;
            // SAFETY: The caller promises that the node is valid and stays.
            let cookie = unsafe { state.append(node) };
            then();
            Ok(cookie)
        })
    }

    /// Like [`Self::link`], for all of `count` nodes or none. Returns the first one's cookie.
    ///
    /// # Safety
    ///
    /// As above, for each node that `next` gives.
    pub(super) unsafe fn link_all(
        &self,
        count: usize,
        mut next: impl FnMut() -> Option<NonNull<Node>>,
        mut then: impl FnMut(NonNull<Node>, Cookie),
    ) -> Result<Cookie> {
        registry::enter(self);
        self.queue.with(|state| {
            let mut first = None;

            state.admit(count)?;
            while let Some(node) = next() {
                // SAFETY: The caller promises that the node is valid and stays.
                let cookie = unsafe { state.append(node.as_ptr()) };
                then(node, cookie);
                first = first.or(Some(cookie));
            }
            first.ok_or(EINVAL)
        })
    }

    /// Like [`Self::link`], for something that is run whether or not the domain has reached its
    /// limit.
    ///
    /// # Safety
    ///
    /// As above.
    pub(super) unsafe fn link_unlimited(&self, node: *mut Node) -> Result<Cookie> {
        registry::enter(self);
        self.queue.with(|state| {
            if state.closed {
                return Err(ESHUTDOWN);
            }
            // SAFETY: The caller promises that the node is valid and stays.
            Ok(unsafe { state.append(node) })
        })
    }

    /// Takes a node out of the order; wakes those who waited for it. Returns a task that the caller
    /// must retire, or have retired by a worker.
    ///
    /// May be called in any context. The domain may be gone when this returns, unless there is a
    /// task to retire.
    ///
    /// # Safety
    ///
    /// `node` must be in this domain's order.
    #[inline]
    #[must_use]
    pub(super) unsafe fn finish(&self, node: *mut Node) -> Option<NonNull<Task>> {
        self.queue.with(|state| {
            state.unfinished -= 1;
            // SAFETY: The caller promises that the node is in the list.
            if unsafe { state.pending.remove(node) } {
                advance(state)
            } else {
                None
            }
        })
    }

    /// Like [`Self::finish`], in a context in which nothing can be retired: leaves that to a worker.
    ///
    /// # Safety
    ///
    /// As above.
    #[inline]
    pub(super) unsafe fn finish_elsewhere(&self, node: *mut Node) {
        // SAFETY: By the caller's promise. The task that is to be retired belongs to us, and was
        // left by its worker when it became ready.
        unsafe {
            if let Some(task) = self.finish(node) {
                Task::enqueue(task, ffi::NUMA_NO_NODE);
            }
        }
    }

    /// The parallel part of a task is done. Returns the task if it is first in the order, so that
    /// the caller must retire it; else it belongs to whoever moves the frontier to it.
    ///
    /// # Safety
    ///
    /// The task must be in this domain's order, and belong to the caller.
    pub(super) unsafe fn ready(&self, task: NonNull<Task>) -> Option<NonNull<Task>> {
        let node: NonNull<Node> = task.cast();

        self.queue.with(|state| {
            let is_first = state.pending.first() == Some(node);

            // SAFETY: The node is in the list, and so valid.
            unsafe {
                (*node.as_ptr()).set(if is_first {
                    flag::READY | flag::RETIRING
                } else {
                    flag::READY
                })
            };
            is_first.then_some(task)
        })
    }

    /// Puts another node in the place of one.
    ///
    /// # Safety
    ///
    /// `old` must be in this domain's order, `new` valid, in no list, and stay in place until it has
    /// been removed.
    #[inline]
    pub(super) unsafe fn replace(&self, old: *mut Node, new: *mut Node) {
        // SAFETY: By the caller's promise.
        self.queue
            .with(|state| unsafe { state.pending.replace(old, new) });
    }
}

impl State {
    /// Says whether so many tasks may be added.
    #[inline]
    fn admit(&self, count: usize) -> Result {
        if self.closed {
            return Err(ESHUTDOWN);
        }
        if count > self.limit.saturating_sub(self.unfinished) {
            return Err(EAGAIN);
        }
        Ok(())
    }

    /// Takes a cookie and appends a node.
    ///
    /// # Safety
    ///
    /// `node` must be valid, in no list, and stay in place until it has been removed.
    #[inline]
    pub(super) unsafe fn append(&mut self, node: *mut Node) -> Cookie {
        let cookie = Cookie::take();

        self.unfinished += 1;
        self.submitted += 1;
        // SAFETY: By the caller's promise. The cookie was taken under the lock, after all others in
        // the list.
        unsafe { self.pending.push(node, cookie) };
        cookie
    }
}
