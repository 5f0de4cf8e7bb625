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
        Owned,
        StackNode,
        Task,
        TaskRef,
        ToRun, //
    },
    pending::{
        flag,
        NodeRef, //
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
        unsafe { task.as_ref() }.set_nid(nid);
        self.pending.queue_last();
        if self.dispatcher == NO_DISPATCHER {
            self.call_dispatcher(domain);
        }
    }

    /// The first queued task.
    #[inline]
    // Tested by: model dispatcher-queue, model domain-cancel.
    pub(crate) fn first_queued(&self) -> Option<TaskRef<'_>> {
        let first = self.pending.first_queued()?.as_ptr();

        // SAFETY: By the safety requirements of `enqueue`: what is queued is a task, of which the node is the first
        // field, and valid while it is queued.
        Some(unsafe { TaskRef::new(first.cast()) })
    }

    /// Puts a dispatcher on the workqueue, if there are queued tasks; the domain must have none there.
    // Tested by: mutant begin-calls-no-dispatcher, model dispatcher-nodes.
    pub(crate) fn call_dispatcher(&mut self, domain: &AsyncDomain) {
        let Some(first) = self.first_queued() else {
            return;
        };
        let nid = first.nid();

        match Dispatcher::get_or_wait(domain, nid) {
            Some(dispatcher) => {
                self.dispatcher = dispatcher.number();
                dispatcher.queue(domain, nid);
            }
            None => self.dispatcher = DISPATCHER_WANTED,
        }
    }

    /// A worker takes the first queued task, unless that is for another node. If the task's memory is the
    /// caller's, then its place in the order moves to the server's stack.
    ///
    /// # Safety
    ///
    /// `server` must be one of this thread, whose stack node is in no list. It must stay until the task has finished.
    #[inline]
    // Tested by: model future-dropped, model future-polled.
    pub(crate) unsafe fn begin(&mut self, server: &Server) -> Option<Owned<ToRun>> {
        let first = self
            .first_queued()
            .filter(|task| server.is_on(task.nid()))?
            .as_ptr();
        // SAFETY: It is queued.
        let task = unsafe { self.take(first) };

        if task.ops.callers_memory {
            let stack_node = server.stack_node();

            // SAFETY: The task is in the list. The stack node is in none, and stays.
            unsafe {
                (*stack_node).ops.set(Some(task.ops));
                self.pending
                    .replace(task.task().place(), NodeRef::new(stack_node.cast()));
            }
        }
        Some(task)
    }

    /// Takes a queued task.
    ///
    /// # Safety
    ///
    /// The task must be queued here.
    #[inline]
    // Tested by: mutant cancelled-not-dropped, mutant closure-leaked-on-cancel.
    unsafe fn take(&mut self, task: NonNull<Task>) -> Owned<ToRun> {
        // SAFETY: A queued task is valid, and its node in the list. It was prepared, is not queued any more, and so
        // nobody else takes it.
        unsafe {
            self.pending.dequeue(NodeRef::new(task.as_ptr().cast()));
            Owned::new(task)
        }
    }

    /// A worker that has finished a task takes the next one, unless that is the last, or for another node,
    /// or the worker has served enough.
    ///
    /// # Safety
    ///
    /// As [`Self::begin`], for `server`; without one nothing is taken.
    #[inline(always)]
    // Tested by: mutant begun-with-last, mutant finish-takes-last.
    pub(crate) unsafe fn take_next(&mut self, server: Option<&Server>) -> Option<Owned<ToRun>> {
        let server = server?;
        let left = server.left.get();

        if self.pending.queued() < 2 || left == 0 {
            return None;
        }
        // SAFETY: The server is one of this thread, and its stack node in no list.
        let task = unsafe { self.begin(server) }?;
        server.left.set(left - 1);
        Some(task)
    }

    /// Dequeues a task that has not begun, on behalf of a thread that cancels or runs it; `None` if it is
    /// left to a worker, which has begun with the dispatcher.
    ///
    /// # Safety
    ///
    /// The task must be queued in the order of `domain`, whose state this is.
    // Tested by: mutant cancelled-not-dropped, mutant closure-leaked-on-cancel.
    pub(crate) unsafe fn dequeue(
        &mut self,
        domain: &AsyncDomain,
        task: NonNull<Task>,
    ) -> Option<Owned<ToRun>> {
        if self.pending.queued() == 1 {
            if !Dispatcher::dismiss(self.dispatcher, domain) {
                return None;
            }
            self.dispatcher = NO_DISPATCHER;
        }
        // SAFETY: The caller promises that the task is queued.
        let task = unsafe { self.take(task) };
        task.node.set(flag::DEQUEUED);
        Some(task)
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
