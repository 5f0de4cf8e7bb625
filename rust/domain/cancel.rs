// SPDX-License-Identifier: GPL-2.0

//! Cancelling tasks that have not started.

use super::{
    pending::{
        flag,
        Node, //
    },
    task::{
        task_of,
        Task, //
    },
    AsyncDomain,
    Cookie,
    State, //
};
use core::ptr::NonNull;

impl AsyncDomain {
    /// Cancels one task; returns whether it will never run.
    ///
    /// A task that has not started is taken back: its closure, or its item, is dropped before this
    /// returns, then its cookie counts as finished, and waiters are released. A task that is running
    /// is asked to stop ([`Context::should_stop`](super::Context::should_stop)), and this returns
    /// `false`, as it does for a token, and for a cookie that is not in progress.
    ///
    /// # Context
    ///
    /// Any in which what is cancelled can be dropped.
    pub fn cancel(&self, cookie: Cookie) -> bool {
        let taken = self.queue.with(|state| {
            let node = state
                .pending
                .iter_back()
                // SAFETY: Nodes in the list are valid.
                .find(|node| unsafe { (*node.as_ptr()).cookie() } == cookie)?;
            take(state, node)
        });
        discard(taken)
    }

    /// Cancels all tasks; returns how many will never run.
    ///
    /// See [`Self::cancel`] for what happens to each. Tasks that are submitted in the meantime may
    /// be cancelled or not; [close](Self::close) the domain first if there must be none.
    ///
    /// # Context
    ///
    /// Any in which what is cancelled can be dropped.
    pub fn cancel_all(&self) -> usize {
        let below = Cookie::now();
        let mut count = 0;

        // From the end of the order, where those are that have not started: what has been taken back
        // leaves the order before the next search, which ends when it finds only what it must leave.
        while discard(self.queue.with(|state| {
            state
                .pending
                .iter_back()
                // SAFETY: Nodes in the list are valid.
                .filter(|node| unsafe { (*node.as_ptr()).cookie() } < below)
                .find_map(|node| take(state, node))
        })) {
            count += 1;
        }
        count
    }
}

/// Takes a task back from the workqueue; asks it to stop if that cannot be done.
fn take(_state: &State, node: NonNull<Node>) -> Option<NonNull<Task>> {
    // SAFETY: The caller found the node in the list, and holds the lock. A task that has been taken
    // back, or is ready or retiring, is not on the queue in order to be run.
    unsafe {
        let flags = &*node.as_ptr();

        flags.set(flag::STOP);
        let task = task_of(node)?;
        if flags.has(flag::CANCELLED | flag::READY | flag::RETIRING) || !Task::dequeue(task) {
            return None;
        }
        flags.set(flag::CANCELLED);
        Some(task)
    }
}

fn discard(taken: Option<NonNull<Task>>) -> bool {
    let Some(task) = taken else {
        return false;
    };
    // SAFETY: It has just been taken back, and belongs to us.
    unsafe { Task::discard(task) };
    true
}
