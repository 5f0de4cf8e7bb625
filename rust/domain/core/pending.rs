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
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::sync::atomic::{
    ordering::Relaxed,
    Atomic, //
};

/// The place of one task in its domain's order.
///
/// Everything in it may change while there are references to it: the neighbours and the flags under the
/// domain's lock, the rest while the node is in no list.
#[repr(C)]
pub(crate) struct Node {
    prev: Cell<Link>,
    next: Cell<Link>,
    cookie: Cell<Cookie>,
    /// Touched under the domain's lock, or by who runs the task if nobody else changes what is asked for.
    flags: Cell<u16>,
    /// The task is asked to stop. Read by the task itself, without a lock.
    stop: Atomic<bool>,
    /// The same, touched under the lock: few tasks pay for setting `stop` back.
    stopped: Cell<bool>,
    /// When the node was appended: the lower half of `jiffies`.
    since: Cell<u32>,
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
            prev: Cell::new(Link::NONE),
            next: Cell::new(Link::NONE),
            cookie: Cell::new(Cookie::IDLE),
            flags: Cell::new(flags),
            stop: Atomic::new(false),
            stopped: Cell::new(false),
            since: Cell::new(0),
        }
    }

    /// The cookie that the node got when it was appended; it does not change while the node is in a list.
    #[inline]
    pub(crate) fn cookie(&self) -> Cookie {
        self.cookie.get()
    }

    /// The cookie of a node.
    ///
    /// # Safety
    ///
    /// `node` must be valid, and stay in its list.
    #[inline]
    // Tested by: kunit what_runs_is_asked_to_stop, test kcsan.
    pub(crate) unsafe fn cookie_of(node: *const Self) -> Cookie {
        // SAFETY: The caller promises that the node is valid.
        unsafe { (*node).cookie() }
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
        self.since.get()
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
    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

/// A link of a list.
///
/// # Invariants
///
/// It is null, or points to a node that is valid as long as the link is in the list.
#[derive(Clone, Copy)]
struct Link(Option<NonNull<Node>>);

impl Link {
    const NONE: Self = Self(None);

    /// The node that a link of a list points to, while the list is borrowed.
    #[inline]
    fn get<'a>(self) -> Option<NodeRef<'a>> {
        // INVARIANT: By that of the link, since nothing leaves the list meanwhile.
        self.0.map(|node| NodeRef(node, PhantomData))
    }
}

/// A node that stays for `'a`, as long as the list is borrowed that it is in, or its owner has it.
///
/// Unlike a reference, it leads to what the node is in.
///
/// # Invariants
///
/// The node is valid for `'a`, and what its flags say that it is the first field of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeRef<'a>(NonNull<Node>, PhantomData<&'a Node>);

impl NodeRef<'_> {
    /// # Safety
    ///
    /// For as long as this is used, `node` must be valid, and what its flags say that it is the first field of.
    #[inline]
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    pub(crate) unsafe fn new(node: *mut Node) -> Self {
        // SAFETY: The node is valid, and so not null.
        // INVARIANT: The caller promises it.
        Self(unsafe { NonNull::new_unchecked(node) }, PhantomData)
    }

    /// The address of the node, and of what it is the first field of.
    #[inline]
    pub(crate) fn as_ptr(self) -> NonNull<Node> {
        self.0
    }

    #[inline]
    fn link(self) -> Link {
        Link(Some(self.0))
    }
}

impl Deref for NodeRef<'_> {
    type Target = Node;

    #[inline(always)]
    // Tested by: mutant frontier-before-unlink, mutant queue-ends-at-gap.
    fn deref(&self) -> &Node {
        // SAFETY: By the type invariant. What changes in a node is in cells.
        unsafe { self.0.as_ref() }
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
    first: Link,
    last: Link,
    first_queued: Link,
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
            first: Link::NONE,
            last: Link::NONE,
            first_queued: Link::NONE,
            queued: 0,
        }
    }

    /// The node with the lowest cookie.
    #[inline]
    pub(crate) fn first(&self) -> Option<NodeRef<'_>> {
        self.first.get()
    }

    /// The lowest cookie in the list.
    #[inline]
    pub(crate) fn lowest(&self) -> Option<Cookie> {
        self.first().map(|node| node.cookie())
    }

    /// All nodes, the one with the lowest cookie first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NodeRef<'_>> {
        core::iter::successors(self.first(), |node| node.next.get().get())
    }

    /// The node with the highest cookie.
    pub(crate) fn last(&self) -> Option<NodeRef<'_>> {
        self.last.get()
    }

    /// The node before one.
    ///
    /// # Safety
    ///
    /// `node` must be in this list.
    pub(crate) unsafe fn before(&self, node: NodeRef<'_>) -> Option<NodeRef<'_>> {
        node.prev.get().get()
    }

    /// Appends a node, with a cookie that is higher than all in the list.
    ///
    /// # Safety
    ///
    /// `node` must be in no list, and stay in place until it has been removed.
    #[inline]
    pub(crate) unsafe fn push(&mut self, node: NodeRef<'_>, cookie: Cookie) {
        node.prev.set(self.last);
        node.next.set(Link::NONE);
        node.cookie.set(cookie);
        node.set_stop(false);
        node.since.set(ffi::ticks());
        // INVARIANT: The caller promises that the node stays, and that its cookie is the highest.
        match self.last.get() {
            Some(last) => {
                debug_assert!(last.cookie() < cookie);
                last.next.set(node.link());
            }
            None => self.first = node.link(),
        }
        self.last = node.link();
    }

    /// Queues the node that was appended last.
    #[inline]
    pub(crate) fn queue_last(&mut self) {
        if let Some(last) = self.last.get() {
            last.set(flag::QUEUED);
            if self.first_queued.0.is_none() {
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
    pub(crate) fn first_queued(&self) -> Option<NodeRef<'_>> {
        self.first_queued.get()
    }

    /// Dequeues a node; it stays in the list.
    ///
    /// # Safety
    ///
    /// `node` must be in this list, and queued.
    #[inline]
    pub(crate) unsafe fn dequeue(&mut self, node: NodeRef<'_>) {
        node.exchange(flag::QUEUED, 0);
        self.queued -= 1;
        if self.first_queued.get() == Some(node) {
            let mut next = node.next.get();

            while let Some(node) = next.get().filter(|node| !node.has(flag::QUEUED)) {
                next = node.next.get();
            }
            // INVARIANT: All queued nodes come after the first one of them.
            self.first_queued = next;
        }
    }

    /// Removes a node; returns whether it was the first one.
    ///
    /// # Safety
    ///
    /// `node` must be in this list, and not queued.
    #[inline]
    pub(crate) unsafe fn remove(&mut self, node: NodeRef<'_>) -> bool {
        let (prev, next) = (node.prev.get(), node.next.get());

        // INVARIANT: Leaving out a node does not change the order of the others.
        self.connect(prev, next, next, prev);
        prev.0.is_none()
    }

    /// Puts another node, that of a [`StackNode`](super::header::StackNode), in the place of a task's node,
    /// which is then as if it were new. The other one gets the cookie, and of the flags
    /// [`flag::DEQUEUED`] and [`flag::SHARED`].
    ///
    /// # Safety
    ///
    /// `old` must be in this list, and not queued, `new` in no list, and stay where it is until it has been
    /// removed.
    #[inline]
    pub(crate) unsafe fn replace(&mut self, old: NodeRef<'_>, new: NodeRef<'_>) {
        let (prev, next) = (old.prev.get(), old.next.get());
        let flags = old.flags.get() & (flag::DEQUEUED | flag::SHARED);

        new.prev.set(prev);
        new.next.set(next);
        new.cookie.set(old.cookie());
        new.since.set(old.since());
        new.flags.set(flags | flag::STACK);
        new.set_stop(old.stopped.get());
        old.flags.set(flag::TASK);
        // INVARIANT: The new node takes the place and the cookie of the old one.
        self.connect(prev, next, new.link(), new.link());
    }

    /// Makes `after` what comes after `prev`, and `before` what comes before `next`.
    #[inline]
    fn connect(&mut self, prev: Link, next: Link, after: Link, before: Link) {
        match next.get() {
            Some(next) => next.prev.set(before),
            None => self.last = before,
        }
        match prev.get() {
            Some(prev) => prev.next.set(after),
            None => self.first = after,
        }
    }
}

/// A chain of nodes that are in no list yet, in the order in which they are to be appended.
pub(crate) struct Chain {
    first: Link,
    last: Link,
    len: usize,
}

impl Chain {
    pub(crate) const fn new() -> Self {
        Self {
            first: Link::NONE,
            last: Link::NONE,
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
        // SAFETY: The caller promises that the node is valid until it is popped.
        let node = unsafe { NodeRef::new(node) };

        node.next.set(Link::NONE);
        match self.last.get() {
            Some(last) => last.next.set(node.link()),
            None => self.first = node.link(),
        }
        self.last = node.link();
        self.len += 1;
    }

    /// All nodes, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<Node>> + '_ {
        core::iter::successors(self.first.get(), |node| node.next.get().get()).map(NodeRef::as_ptr)
    }

    /// Takes the first node.
    pub(crate) fn pop(&mut self) -> Option<NonNull<Node>> {
        let node = self.first.get()?;

        self.first = node.next.get();
        if self.first.0.is_none() {
            self.last = Link::NONE;
        }
        self.len -= 1;
        Some(node.as_ptr())
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kernel::prelude::kunit_tests(async_domain_pending)]
mod tests {
    use super::*;
    use crate::kunit::shuffled;
    use kernel::prelude::*;

    /// # Safety
    ///
    /// The node must stay where it is while this is used.
    unsafe fn at<'a>(node: &mut Node) -> NodeRef<'a> {
        // SAFETY: By the caller's promise; the flags are not looked at.
        unsafe { NodeRef::new(node) }
    }

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
            unsafe { list.push(at(node), cookie) };
            assert_eq!(node.cookie(), cookie);
        }
        for i in shuffled(N)? {
            let lowest = left.iter().flatten().min().copied();
            assert_eq!(list.lowest(), lowest);
            // SAFETY: Each node is in the list until it is removed, once.
            let was_first = unsafe { list.remove(at(&mut nodes[i])) };
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
            unsafe { list.push(at(node), Cookie::take()) };
            if i == 1 {
                node.set(flag::SHARED);
                node.stop();
            }
        }
        // The middle one first, then those at the ends.
        for i in [1, 0, 2] {
            let cookie = nodes[i].cookie();

            // SAFETY: The one is in the list, and not in line; the other is in none, and stays where it is.
            unsafe { list.replace(at(&mut nodes[i]), at(&mut places[i])) };
            assert_eq!(places[i].cookie(), cookie);
            assert_eq!(places[i].is_stopped(), i == 1);
            assert_eq!(places[i].has(flag::SHARED), i == 1);
            assert!(nodes[i].has(flag::TASK) && !nodes[i].has(flag::SHARED));
        }
        for place in places.iter_mut() {
            assert_eq!(list.lowest(), Some(place.cookie()));
            // SAFETY: It is in the list.
            assert!(unsafe { list.remove(at(place)) });
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
            unsafe { list.push(at(node), Cookie::take()) };
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
                    list.dequeue(at(&mut nodes[i]));
                    list.remove(at(&mut nodes[i]));
                }
            }
        }
        assert_eq!(list.queued(), N / 3);
        // The others come one after the other.
        for i in (2..N).step_by(3) {
            // SAFETY: The node stays where it is.
            let node = unsafe { at(&mut nodes[i]) };
            assert!(list.first_queued() == Some(node));
            // SAFETY: It is in the list, and queued.
            unsafe { list.dequeue(node) };
        }
        assert!(list.first_queued().is_none() && list.queued() == 0);
        Ok(())
    }
}
