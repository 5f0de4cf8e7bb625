// SPDX-License-Identifier: GPL-2.0

//! The pending order: a domain's unfinished tasks, sorted by cookie.
//!
//! Tasks are appended with ever higher cookies and may leave from anywhere, so that the first one
//! is always the lowest in progress. A plain doubly linked list does this in constant time; unlike
//! `struct list_head` it has no pointer to itself, so that a domain can be moved into its place.

use super::cookie::Cookie;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::sync::atomic::{
    ordering::Relaxed,
    Atomic, //
};

/// The place of one task in its domain's order.
#[repr(C)]
pub(super) struct Node {
    prev: *mut Node,
    next: *mut Node,
    cookie: Cookie,
    flags: Atomic<u32>,
}

/// What a domain has to know of a node. Changed under the domain's lock only.
pub(super) mod flag {
    /// The node is the first field of a [`Task`](super::super::task::Task).
    pub(in super::super) const TASK: u32 = 1 << 0;
    /// The task should stop: its owner does not want its result any more.
    pub(in super::super) const STOP: u32 = 1 << 1;
    /// The parallel part of an ordered task is done.
    pub(in super::super) const READY: u32 = 1 << 2;
    /// Somebody has been given the task to run its in-order part.
    pub(in super::super) const RETIRING: u32 = 1 << 3;
    /// The task has been taken back from the workqueue.
    pub(in super::super) const TAKEN: u32 = 1 << 4;
    /// The node is the first field of a [`Spawned`](super::super::executor::Spawned).
    pub(in super::super) const SPAWNED: u32 = 1 << 5;
}

impl Node {
    /// Makes a node that is in no list.
    pub(super) const fn new(flags: u32) -> Self {
        Self {
            prev: ptr::null_mut(),
            next: ptr::null_mut(),
            cookie: Cookie::IDLE,
            flags: Atomic::new(flags),
        }
    }

    /// The cookie that the node got when it was appended.
    #[inline]
    pub(super) fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// The cookie of a node whose neighbours may be changing.
    ///
    /// # Safety
    ///
    /// `node` must be valid, and stay in its list.
    #[inline]
    pub(super) unsafe fn cookie_of(node: *const Self) -> Cookie {
        // SAFETY: The caller promises that the node is valid. The cookie does not change.
        unsafe { (&raw const (*node).cookie).read() }
    }

    /// Whether any of these flags is set.
    #[inline]
    pub(super) fn has(&self, flags: u32) -> bool {
        self.flags.load(Relaxed) & flags != 0
    }

    /// Sets flags. The lock of the node's domain must be held, or the node be in no list.
    #[inline]
    pub(super) fn set(&self, flags: u32) {
        self.flags.store(self.flags.load(Relaxed) | flags, Relaxed);
    }
}

/// A list of [`Node`]s.
///
/// # Invariants
///
/// - All nodes in the list are valid, and stay in place until they are removed.
/// - Their cookies are strictly increasing.
/// - `first` and `last` are null if and only if the list is empty.
pub(super) struct Pending {
    first: *mut Node,
    last: *mut Node,
}

// SAFETY: The list is a set of pointers, which may be followed by whoever owns the list.
unsafe impl Send for Pending {}

impl Pending {
    /// Makes an empty list.
    pub(super) const fn new() -> Self {
        // INVARIANT: The list is empty.
        Self {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
        }
    }

    /// The node with the lowest cookie.
    #[inline]
    pub(super) fn first(&self) -> Option<NonNull<Node>> {
        NonNull::new(self.first)
    }

    /// The lowest cookie in the list.
    #[inline]
    pub(super) fn lowest(&self) -> Option<Cookie> {
        // SAFETY: By the type invariant `first` is null or a valid node.
        unsafe { self.first.as_ref() }.map(Node::cookie)
    }

    /// All nodes, the one with the lowest cookie first.
    pub(super) fn iter(&self) -> impl Iterator<Item = NonNull<Node>> + '_ {
        core::iter::successors(NonNull::new(self.first), |node| {
            // SAFETY: By the type invariant all nodes in the list are valid.
            NonNull::new(unsafe { (*node.as_ptr()).next })
        })
    }

    /// All nodes, the one with the highest cookie first.
    pub(super) fn iter_back(&self) -> impl Iterator<Item = NonNull<Node>> + '_ {
        core::iter::successors(NonNull::new(self.last), |node| {
            // SAFETY: By the type invariant all nodes in the list are valid.
            NonNull::new(unsafe { (*node.as_ptr()).prev })
        })
    }

    /// Appends a node, with a cookie that is higher than all in the list.
    ///
    /// # Safety
    ///
    /// `node` must be valid, in no list, and stay in place until it has been removed.
    #[inline]
    pub(super) unsafe fn push(&mut self, node: *mut Node, cookie: Cookie) {
        // SAFETY: `node` is valid by the caller's promise, `last` by the type invariant.
        // INVARIANT: The caller promises that the node stays, and that its cookie is the highest.
        unsafe {
            (*node).prev = self.last;
            (*node).next = ptr::null_mut();
            (*node).cookie = cookie;
            if self.last.is_null() {
                self.first = node;
            } else {
                debug_assert!((*self.last).cookie < cookie);
                (*self.last).next = node;
            }
        }
        self.last = node;
    }

    /// Removes a node; returns whether it was the first one.
    ///
    /// # Safety
    ///
    /// `node` must be in this list.
    #[inline]
    pub(super) unsafe fn remove(&mut self, node: *mut Node) -> bool {
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

    /// Puts another node, which gets the cookie and the flags but [`flag::TASK`], in the place of a
    /// task's node, which is then as if it were new.
    ///
    /// # Safety
    ///
    /// `old` must be in this list, `new` valid, in no list, and stay in place until it has been
    /// removed.
    #[inline]
    pub(super) unsafe fn replace(&mut self, old: *mut Node, new: *mut Node) {
        // SAFETY: Both are valid, as are the neighbours of the one in the list.
        // INVARIANT: The new node takes the place and the cookie of the old one.
        unsafe {
            let Node {
                prev, next, cookie, ..
            } = *old;

            (*new).prev = prev;
            (*new).next = next;
            (*new).cookie = cookie;
            (*new).set((*old).flags.load(Relaxed) & !flag::TASK);
            (*old).flags.store(flag::TASK, Relaxed);
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
pub(super) struct Chain {
    first: *mut Node,
    last: *mut Node,
    len: usize,
}

impl Chain {
    pub(super) const fn new() -> Self {
        Self {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a node at the end.
    ///
    /// # Safety
    ///
    /// `node` must be valid and in no list, and stay so until it is popped.
    pub(super) unsafe fn push(&mut self, node: *mut Node) {
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
    pub(super) fn iter(&self) -> impl Iterator<Item = NonNull<Node>> + '_ {
        core::iter::successors(NonNull::new(self.first), |node| {
            // SAFETY: Nodes in the chain are valid, by the promise of who pushed them.
            NonNull::new(unsafe { (*node.as_ptr()).next })
        })
    }

    /// Takes the first node.
    pub(super) fn pop(&mut self) -> Option<NonNull<Node>> {
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
}
