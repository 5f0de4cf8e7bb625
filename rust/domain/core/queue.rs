// SPDX-License-Identifier: GPL-2.0

//! The queued tasks of a domain, and the worker that serves them.

use super::{
    cookie::Cookie,
    dispatcher::Dispatcher,
    domain::{
        AsyncDomain,
        State,
        DISPATCHER_WANTED,
        NO_DISPATCHER, //
    },
    header::{
        StackNode,
        Task, //
    },
    scope_data::ScopeData, //
};
use crate::ffi;
use core::{
    cell::{
        Cell,
        UnsafeCell, //
    },
    ptr::NonNull, //
};
use kernel::prelude::*;

/// After so many tasks a worker leaves the rest to the next one, so that a domain to which tasks come as
/// fast as they finish does not keep its place from others.
pub(crate) const BATCH: u32 = 256;

/// A worker that serves the queued tasks of a domain: what it has on its stack for them.
pub(crate) struct Server {
    /// The place in the order of a task in the caller's memory, while it runs.
    stack_node: UnsafeCell<StackNode>,
    /// The node for which tasks are taken, or [`ffi::NUMA_NO_NODE`].
    nid: c_int,
    /// How many more tasks are taken.
    left: Cell<u32>,
}

impl Server {
    #[inline]
    pub(crate) fn new(nid: c_int) -> Self {
        Self {
            stack_node: UnsafeCell::new(StackNode::new()),
            nid,
            left: Cell::new(BATCH - 1),
        }
    }

    /// The node on the stack.
    #[inline]
    pub(crate) fn stack_node(&self) -> *mut StackNode {
        self.stack_node.get()
    }

    /// Whether tasks that are to run on a node are served here.
    #[inline]
    pub(crate) fn is_on(&self, nid: c_int) -> bool {
        nid == ffi::NUMA_NO_NODE || nid == self.nid
    }
}

impl State {
    /// Queues the task that was appended last, for a node or, with [`ffi::NUMA_NO_NODE`], any.
    ///
    /// # Safety
    ///
    /// The task must be prepared, and the one that was appended last to the order of `domain`, whose state
    /// this is. It belongs to the worker that begins with it from now on. `nid` must be a valid node, or none.
    #[inline]
    // Tested by: mutant wake-during-poll-lost, model spawn-woken.
    pub(crate) unsafe fn enqueue(&mut self, domain: &AsyncDomain, task: NonNull<Task>, nid: c_int) {
        // SAFETY: The task is the caller's until the lock is given back.
        unsafe { Task::set_nid(task, nid) };
        self.pending.queue_last();
        if self.dispatcher == NO_DISPATCHER {
            self.call_dispatcher(domain);
        }
    }

    /// The first queued task.
    #[inline]
    pub(crate) fn first_queued(&self) -> Option<NonNull<Task>> {
        // By the safety requirements of `enqueue`: what is queued is a task, of which the node is the first field.
        self.pending.first_queued().map(NonNull::cast)
    }

    /// Puts a dispatcher on the workqueue, if there are queued tasks; the domain must have none there.
    // Tested by: mutant begin-calls-no-dispatcher, model dispatcher-nodes.
    pub(crate) fn call_dispatcher(&mut self, domain: &AsyncDomain) {
        let Some(first) = self.first_queued() else {
            return;
        };
        // SAFETY: A queued task is valid while the lock is held.
        let nid = unsafe { Task::nid(first) };

        match Dispatcher::get_or_wait(domain, nid) {
            Some(dispatcher) => {
                self.dispatcher = dispatcher.number();
                dispatcher.queue(domain, nid);
            }
            None => self.dispatcher = DISPATCHER_WANTED,
        }
    }

    /// A worker takes the first queued task. If the task's memory is the caller's, then its place in the
    /// order moves to the server's stack.
    ///
    /// # Safety
    ///
    /// The task must be queued, and `server` be one of this thread, whose stack node is in no list. It must
    /// stay until the task has finished.
    #[inline]
    // Tested by: model future-dropped, model future-polled.
    pub(crate) unsafe fn begin(&mut self, task: NonNull<Task>, server: &Server) -> NonNull<Task> {
        // SAFETY: A queued task is valid, and its node in the list; the stack node stays by the caller's
        // promise.
        unsafe {
            self.pending.dequeue(task.cast());
            if (*task.as_ptr()).ops.callers_memory {
                let stack_node = server.stack_node();

                (*stack_node).ops.set(Some((*task.as_ptr()).ops));
                self.pending
                    .replace(task.as_ptr().cast(), stack_node.cast());
            }
        }
        task
    }

    /// A worker that has finished a task takes the next one, unless that is the last, or for another node,
    /// or the worker has served enough.
    ///
    /// # Safety
    ///
    /// As [`Self::begin`], for `server`; without one nothing is taken.
    #[inline(always)]
    // Tested by: mutant begun-with-last, mutant finish-takes-last.
    pub(crate) unsafe fn take_next(&mut self, server: Option<&Server>) -> Option<NonNull<Task>> {
        let server = server?;

        if self.pending.queued() < 2 {
            return None;
        }
        let task = self.first_queued()?;
        let left = server.left.get();

        // SAFETY: A queued task is valid while the lock is held.
        if left == 0 || !server.is_on(unsafe { Task::nid(task) }) {
            return None;
        }
        server.left.set(left - 1);
        // SAFETY: It is queued; by the caller's promise.
        Some(unsafe { self.begin(task, server) })
    }

    /// Dequeues a task that has not begun, on behalf of a thread that cancels or runs it; `false` if it is
    /// left to a worker, which has begun with the dispatcher.
    ///
    /// # Safety
    ///
    /// The task must be queued in the order of `domain`, whose state this is.
    // Tested by: mutant cancelled-not-dropped, mutant closure-leaked-on-cancel.
    pub(crate) unsafe fn dequeue(&mut self, domain: &AsyncDomain, task: NonNull<Task>) -> bool {
        if self.pending.queued() == 1 {
            if !Dispatcher::dismiss(self.dispatcher, domain) {
                return false;
            }
            self.dispatcher = NO_DISPATCHER;
        }
        // SAFETY: By the caller's promise.
        unsafe { self.pending.dequeue(task.cast()) };
        true
    }
}

impl AsyncDomain {
    /// Submits a task. If that fails, the task still belongs to the caller.
    ///
    /// # Safety
    ///
    /// The task must be initialised, claimed if it is in the caller's memory, and not have been
    /// submitted. What it borrows must outlive the scope, which must be null or outlive the task.
    // Tested by: mutant limit-ignored, kunit out_of_memory_gives_the_closure_back.
    pub(crate) unsafe fn submit_task(
        &self,
        task: NonNull<Task>,
        nid: c_int,
        scope: *const ScopeData,
    ) -> Result<Cookie> {
        // SAFETY: The task is ours until it is queued. Its node stays where it is until it is
        // finished.
        unsafe {
            Task::prepare(task, self, scope)?;
            self.link(&raw mut (*task.as_ptr()).node, |state| {
                state.enqueue(self, task, nid)
            })
            .inspect_err(|_| Task::unprepare(task))
        }
    }
}
