// SPDX-License-Identifier: GPL-2.0

//! The pending order: a domain's unfinished tasks, sorted by cookie.
//!
//! Tasks are appended with ever higher cookies and may leave from anywhere, so that the first one
//! is always the lowest in progress. A plain doubly linked list does this in constant time; unlike
//! `struct list_head` it has no pointer to itself, so that a domain can be moved into its place.
//!
//! The tasks that have not begun are *queued* in the same list: a flag says so, and there is a pointer to
//! the first of them. That pointer only moves towards higher cookies, so that all that it steps over
//! (tokens, mostly) is stepped over once.

use super::cookie::Cookie;
use crate::ffi;
use core::{
    cell::Cell,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::sync::atomic::{
    ordering::Relaxed,
    Atomic, //
};

/// The place of one task in its domain's order.
#[repr(C)]
pub(crate) struct Node {
    prev: *mut Node,
    next: *mut Node,
    cookie: Cookie,
    /// Touched under the domain's lock, or by who runs the task if nobody else changes what is asked for.
    flags: Cell<u16>,
    /// The task is asked to stop. Read by the task itself, without a lock.
    stop: Atomic<bool>,
    /// The same, touched under the lock: few tasks pay for setting `stop` back.
    stopped: Cell<bool>,
    /// When the node was appended: the lower half of `jiffies`.
    since: u32,
}

/// What a domain has to know of a node. Changed under the domain's lock only.
pub(crate) mod flag {
    /// The node is the first field of a [`Task`](crate::super::task::Task).
    pub(crate) const TASK: u16 = 1 << 0;
    /// The domain's own reference on its owner is held for this one, too.
    pub(crate) const SHARED: u16 = 1 << 1;
    /// The parallel part of an ordered task is done.
    pub(crate) const READY: u16 = 1 << 2;
    /// Somebody has been given the task to run its in-order part.
    pub(crate) const RETIRING: u16 = 1 << 3;
    /// The task was dequeued by a thread that cancels it, or runs it in its own context.
    pub(crate) const DEQUEUED: u16 = 1 << 4;
    /// The node is the first field of a [`Spawned`](crate::super::executor::Spawned).
    pub(crate) const SPAWNED: u16 = 1 << 5;
    /// The task is queued: it has not begun.
    pub(crate) const QUEUED: u16 = 1 << 6;
    /// The node is the first field of a [`Task`](crate::super::task::Task) that is in flight, not run.
    pub(crate) const TOKEN: u16 = 1 << 7;
    /// The node is the first field of a [`StackNode`](crate::super::task::StackNode).
    pub(crate) const STACK: u16 = 1 << 8;
}

impl Node {
    /// Makes a node that is in no list.
    pub(crate) const fn new(flags: u16) -> Self {
        Self {
            prev: ptr::null_mut(),
            next: ptr::null_mut(),
            cookie: Cookie::IDLE,
            flags: Cell::new(flags),
            stop: Atomic::new(false),
            stopped: Cell::new(false),
            since: 0,
        }
    }

    /// The cookie that the node got when it was appended.
    #[inline]
    pub(crate) fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// The cookie of a node whose neighbours may be changing.
    ///
    /// # Safety
    ///
    /// `node` must be valid, and stay in its list.
    #[inline]
    // Tested by: kunit what_runs_is_asked_to_stop, test kcsan.
    pub(crate) unsafe fn cookie_of(node: *const Self) -> Cookie {
        // SAFETY: The caller promises that the node is valid. The cookie does not change.
        unsafe { (&raw const (*node).cookie).read() }
    }

    /// Whether any of these flags is set.
    #[inline]
    pub(crate) fn has(&self, flags: u16) -> bool {
        self.flags.get() & flags != 0
    }

    /// Sets flags. The lock of the node's domain must be held, or the node be in no list.
    #[inline]
    pub(crate) fn set(&self, flags: u16) {
        self.exchange(0, flags);
    }

    /// Sets these flags and no others. The node must be in no list.
    #[inline]
    pub(crate) fn reset(&self, flags: u16) {
        self.flags.set(flags);
    }

    /// Clears flags, and sets others. As for [`Self::set`].
    #[inline]
    pub(crate) fn exchange(&self, clear: u16, set: u16) {
        self.flags.set((self.flags.get() & !clear) | set);
    }

    /// When the node was appended, as [`ffi::ticks`] has it.
    pub(crate) fn since(&self) -> u32 {
        self.since
    }

    /// Asks the task to stop: its owner does not want its result any more. The lock must be held.
    pub(crate) fn stop(&self) {
        self.set_stop(true);
    }

    #[inline]
    fn set_stop(&self, stop: bool) {
        if self.stopped.get() != stop {
            self.stopped.set(stop);
            self.stop.store(stop, Relaxed);
        }
    }

    /// Whether the task has been asked to stop.
    ///
    /// # Safety
    ///
    /// `node` must be valid. Its neighbours may be changing.
    #[inline]
    // Tested by: kunit what_runs_is_asked_to_stop, test kcsan.
    pub(crate) unsafe fn is_stopped(node: *const Self) -> bool {
        // SAFETY: By the caller's promise.
        unsafe { (*node).stop.load(Relaxed) }
    }
}

/// A list of [`Node`]s.
///
/// # Invariants
///
/// - All nodes in the list are valid, and stay in place until they are removed.
/// - Their cookies are strictly increasing.
/// - `first` and `last` are null if and only if the list is empty.
/// - `queued` nodes have [`flag::QUEUED`] set, and `first_queued` is the first of them, or null.
pub(crate) struct Pending {
    first: *mut Node,
    last: *mut Node,
    first_queued: *mut Node,
    queued: usize,
}

// SAFETY: The list is a set of pointers, which may be followed by whoever owns the list.
// Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
unsafe impl Send for Pending {}

impl Pending {
    /// Makes an empty list.
    pub(crate) const fn new() -> Self {
        // INVARIANT: The list is empty.
        Self {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
            first_queued: ptr::null_mut(),
            queued: 0,
        }
    }

    /// The node with the lowest cookie.
    #[inline]
    pub(crate) fn first(&self) -> Option<NonNull<Node>> {
        NonNull::new(self.first)
    }

    /// The lowest cookie in the list.
    #[inline]
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    pub(crate) fn lowest(&self) -> Option<Cookie> {
        // SAFETY: By the type invariant `first` is null or a valid node.
        unsafe { self.first.as_ref() }.map(Node::cookie)
    }

    /// The node with the highest cookie.
    #[inline]
    pub(crate) fn last(&self) -> Option<NonNull<Node>> {
        NonNull::new(self.last)
    }

    /// The node after one.
    ///
    /// # Safety
    ///
    /// `node` must be in this list.
    #[inline]
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    pub(crate) unsafe fn after(&self, node: NonNull<Node>) -> Option<NonNull<Node>> {
        // SAFETY: By the type invariant all nodes in the list are valid.
        NonNull::new(unsafe { (*node.as_ptr()).next })
    }

    /// The node before one.
    ///
    /// # Safety
    ///
    /// As above.
    #[inline]
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    pub(crate) unsafe fn before(&self, node: NonNull<Node>) -> Option<NonNull<Node>> {
        // SAFETY: As above.
        NonNull::new(unsafe { (*node.as_ptr()).prev })
    }

    /// Appends a node, with a cookie that is higher than all in the list.
    ///
    /// # Safety
    ///
    /// `node` must be valid, in no list, and stay in place until it has been removed.
    #[inline]
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    pub(crate) unsafe fn push(&mut self, node: *mut Node, cookie: Cookie) {
        // SAFETY: `node` is valid by the caller's promise, `last` by the type invariant.
        // INVARIANT: The caller promises that the node stays, and that its cookie is the highest.
        unsafe {
            (*node).prev = self.last;
            (*node).next = ptr::null_mut();
            (*node).cookie = cookie;
            (*node).set_stop(false);
            (*node).since = ffi::ticks();
            if self.last.is_null() {
                self.first = node;
            } else {
                debug_assert!((*self.last).cookie < cookie);
                (*self.last).next = node;
            }
        }
        self.last = node;
    }

    /// Queues the node that was appended last.
    #[inline]
    // Tested by: mutant queue-ends-at-gap.
    pub(crate) fn queue_last(&mut self) {
        // SAFETY: By the type invariant `last` is null or a valid node.
        if let Some(last) = unsafe { self.last.as_ref() } {
            last.set(flag::QUEUED);
            if self.first_queued.is_null() {
                self.first_queued = self.last;
            }
            self.queued += 1;
        }
    }

    /// How many nodes are queued.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// The first queued node.
    #[inline]
    pub(crate) fn first_queued(&self) -> Option<NonNull<Node>> {
        NonNull::new(self.first_queued)
    }

    /// Dequeues a node; it stays in the list.
    ///
    /// # Safety
    ///
    /// `node` must be in this list, and queued.
    #[inline]
    // Tested by: mutant cancelled-not-dropped, mutant closure-leaked-on-cancel.
    pub(crate) unsafe fn dequeue(&mut self, node: NonNull<Node>) {
        // SAFETY: Nodes in the list are valid.
        // INVARIANT: All queued nodes come after the first one of them.
        unsafe {
            (*node.as_ptr()).exchange(flag::QUEUED, 0);
            self.queued -= 1;
            if self.first_queued == node.as_ptr() {
                let mut next = (*node.as_ptr()).next;

                while !next.is_null() && !(*next).has(flag::QUEUED) {
                    next = (*next).next;
                }
                self.first_queued = next;
            }
        }
    }

    /// Removes a node; returns whether it was the first one.
    ///
    /// # Safety
    ///
    /// `node` must be in this list, and not queued.
    #[inline]
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    pub(crate) unsafe fn remove(&mut self, node: *mut Node) -> bool {
        // SAFETY: The node is in the list, and so it and its neighbours are valid by the type
        // invariant.
        // INVARIANT: Leaving out a node does not change the order of the others.
        unsafe {
            let Node { prev, next, .. } = *node;

            if next.is_null() {
                self.last = prev;
            } else {
                (*next).prev = prev;
            }
            if prev.is_null() {
                self.first = next;
            } else {
                (*prev).next = next;
            }
            prev.is_null()
        }
    }

    /// Puts another node, that of a [`StackNode`](super::task::StackNode), in the place of a task's node,
    /// which is then as if it were new. The other one gets the cookie, and of the flags
    /// [`flag::DEQUEUED`] and [`flag::SHARED`].
    ///
    /// # Safety
    ///
    /// `old` must be in this list, and not queued, `new` that of a valid stack node, in no list, and stay
    /// where it is until it has been removed.
    #[inline]
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    pub(crate) unsafe fn replace(&mut self, old: *mut Node, new: *mut Node) {
        // SAFETY: Both are valid, as are the neighbours of the one in the list.
        // INVARIANT: The new node takes the place and the cookie of the old one.
        unsafe {
            let Node {
                prev, next, cookie, ..
            } = *old;

            (*new).prev = prev;
            (*new).next = next;
            (*new).cookie = cookie;
            (*new).since = (*old).since;
            let flags = (*old).flags.get() & (flag::DEQUEUED | flag::SHARED);
            (*new).flags.set(flags | flag::STACK);
            (*new).set_stop((*old).stopped.get());
            (*old).flags.set(flag::TASK);
            if next.is_null() {
                self.last = new;
            } else {
                (*next).prev = new;
            }
            if prev.is_null() {
                self.first = new;
            } else {
                (*prev).next = new;
            }
        }
    }
}

/// A chain of nodes that are in no list yet, in the order in which they are to be appended.
pub(crate) struct Chain {
    first: *mut Node,
    last: *mut Node,
    len: usize,
}

impl Chain {
    pub(crate) const fn new() -> Self {
        Self {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a node at the end.
    ///
    /// # Safety
    ///
    /// `node` must be valid and in no list, and stay so until it is popped.
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    pub(crate) unsafe fn push(&mut self, node: *mut Node) {
        // SAFETY: The node is valid by the caller's promise, and so are those pushed before.
        unsafe {
            (*node).next = ptr::null_mut();
            if self.last.is_null() {
                self.first = node;
            } else {
                (*self.last).next = node;
            }
        }
        self.last = node;
        self.len += 1;
    }

    /// All nodes, in their order.
    // Tested by: kunit all_are_run_in_the_order_of_the_vector.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<Node>> + '_ {
        core::iter::successors(NonNull::new(self.first), |node| {
            // SAFETY: Nodes in the chain are valid, by the promise of who pushed them.
            NonNull::new(unsafe { (*node.as_ptr()).next })
        })
    }

    /// Takes the first node.
    // Tested by: kunit all_are_run_in_the_order_of_the_vector.
    pub(crate) fn pop(&mut self) -> Option<NonNull<Node>> {
        let node = NonNull::new(self.first)?;

        // SAFETY: Nodes in the chain are valid, by the promise of who pushed them.
        self.first = unsafe { (*node.as_ptr()).next };
        if self.first.is_null() {
            self.last = ptr::null_mut();
        }
        self.len -= 1;
        Some(node)
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kernel::prelude::kunit_tests(async_domain_pending)]
mod tests {
    use super::*;
    use crate::kunit::shuffled;
    use kernel::prelude::*;

    #[test]
    fn lowest_is_the_lowest_in_any_order_of_removal() -> Result {
        const N: usize = 50;
        let mut nodes = KVec::with_capacity(N, GFP_KERNEL)?;
        let mut left = KVec::with_capacity(N, GFP_KERNEL)?;
        let mut list = Pending::new();

        assert_eq!(list.lowest(), None);
        for _ in 0..N {
            nodes.push(Node::new(0), GFP_KERNEL)?;
        }
        for node in nodes.iter_mut() {
            let cookie = Cookie::take();
            left.push(Some(cookie), GFP_KERNEL)?;
            // SAFETY: The nodes stay where they are until the end of the test.
            unsafe { list.push(node, cookie) };
            assert_eq!(node.cookie(), cookie);
        }
        for i in shuffled(N)? {
            let lowest = left.iter().flatten().min().copied();
            assert_eq!(list.lowest(), lowest);
            // SAFETY: Each node is in the list until it is removed, once.
            let was_first = unsafe { list.remove(&mut nodes[i]) };
            assert_eq!(was_first, left[i] == lowest);
            left[i] = None;
        }
        assert_eq!(list.lowest(), None);
        Ok(())
    }

    #[test]
    fn a_node_that_moves_stays_what_it_was() -> Result {
        let mut nodes = [const { Node::new(flag::TASK) }; 3];
        let mut places = [const { Node::new(flag::STACK) }; 3];
        let mut list = Pending::new();

        for (i, node) in nodes.iter_mut().enumerate() {
            // SAFETY: The nodes stay where they are until they are removed.
            unsafe { list.push(node, Cookie::take()) };
            if i == 1 {
                node.set(flag::SHARED);
                node.stop();
            }
        }
        // The middle one first, then those at the ends.
        for i in [1, 0, 2] {
            let cookie = nodes[i].cookie();

            // SAFETY: The one is in the list, and not in line; the other is in none, and stays where it is.
            unsafe { list.replace(&mut nodes[i], &mut places[i]) };
            assert_eq!(places[i].cookie(), cookie);
            // SAFETY: The place is valid.
            assert_eq!(unsafe { Node::is_stopped(&places[i]) }, i == 1);
            assert_eq!(places[i].has(flag::SHARED), i == 1);
            assert!(nodes[i].has(flag::TASK) && !nodes[i].has(flag::SHARED));
        }
        for place in places.iter_mut() {
            assert_eq!(list.lowest(), Some(place.cookie()));
            // SAFETY: It is in the list.
            assert!(unsafe { list.remove(place) });
        }
        assert_eq!(list.lowest(), None);
        Ok(())
    }

    #[test]
    fn queued_nodes_come_in_order() -> Result {
        const N: usize = 50;
        let mut nodes = KVec::with_capacity(N, GFP_KERNEL)?;
        let mut list = Pending::new();

        for _ in 0..N {
            nodes.push(Node::new(0), GFP_KERNEL)?;
        }
        for (i, node) in nodes.iter_mut().enumerate() {
            // SAFETY: The nodes stay where they are until the end of the test.
            unsafe { list.push(node, Cookie::take()) };
            // Every third is something else, such as a token.
            if i % 3 != 0 {
                list.queue_last();
            }
        }
        // Some are dequeued from anywhere.
        for i in shuffled(N)? {
            if i % 3 == 1 {
                // SAFETY: The node is in the list, and queued, and leaves both once.
                unsafe {
                    list.dequeue(NonNull::from(&mut nodes[i]));
                    list.remove(&mut nodes[i]);
                }
            }
        }
        assert_eq!(list.queued(), N / 3);
        // The others come one after the other.
        for i in (2..N).step_by(3) {
            let node = NonNull::from(&mut nodes[i]);
            assert_eq!(list.first_queued(), Some(node));
            // SAFETY: As above.
            unsafe { list.dequeue(node) };
        }
        assert_eq!((list.first_queued(), list.queued()), (None, 0));
        Ok(())
    }
}
