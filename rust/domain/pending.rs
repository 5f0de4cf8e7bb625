// SPDX-License-Identifier: GPL-2.0

//! The pending order: a domain's unfinished tasks, sorted by cookie.
//!
//! Tasks are appended with ever higher cookies and may leave from anywhere, so that the first one
//! is always the lowest in progress. A plain doubly linked list does this in constant time; unlike
//! `struct list_head` it has no pointer to itself, so that a domain can be moved into its place.

use super::cookie::Cookie;
use core::ptr;

/// The place of one task in its domain's order.
pub(super) struct Node {
    prev: *mut Node,
    next: *mut Node,
    cookie: Cookie,
}

impl Node {
    /// Makes a node that is in no list.
    pub(super) const fn new() -> Self {
        Self {
            prev: ptr::null_mut(),
            next: ptr::null_mut(),
            cookie: Cookie::IDLE,
        }
    }

    /// The cookie that the node got when it was appended.
    #[inline]
    pub(super) fn cookie(&self) -> Cookie {
        self.cookie
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

    /// The lowest cookie in the list.
    #[inline]
    pub(super) fn lowest(&self) -> Option<Cookie> {
        // SAFETY: By the type invariant `first` is null or a valid node.
        unsafe { self.first.as_ref() }.map(Node::cookie)
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
            *node = Node {
                prev: self.last,
                next: ptr::null_mut(),
                cookie,
            };
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
            nodes.push(Node::new(), GFP_KERNEL)?;
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
