// SPDX-License-Identifier: GPL-2.0

//! Cancelling tasks that have not started.

use super::future::OwnedFuture;
use crate::domain::core::{
    cookie::Cookie,
    domain::{
        AsyncDomain,
        State, //
    },
    future_header::spawned_of,
    header::{
        task_of,
        Owned,
        Task,
        ToRun, //
    },
    pending::{
        flag,
        NodeRef, //
    },
    registry,
    scope_data::ScopeData,
    trace, //
};

/// What has come of a cancellation; see [`AsyncDomain::cancel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The task had not started, and never will: what it was made of has been dropped.
    Dropped,
    /// The task has started, and was asked to stop. (A token cannot be asked; it is left as it is.)
    AskedToStop,
    /// The domain has no unfinished task with this cookie.
    NotFound,
}

impl Cancelled {
    /// Drops what was found, if it was dequeued.
    fn of(found: Option<Option<Taken>>) -> Self {
        match found.map(discard) {
            Some(true) => Self::Dropped,
            Some(false) => Self::AskedToStop,
            None => Self::NotFound,
        }
    }
}

impl AsyncDomain {
    /// Cancels one task; says what has come of it.
    ///
    /// A task that has not started is dequeued: its closure, or its item, is dropped before this returns, then its
    /// cookie counts as finished, and waiters are released. A task that is running is asked to stop
    /// ([`TaskContext::should_stop`](crate::TaskContext::should_stop)).
    ///
    /// A [spawned](crate::Submit::spawn) future is dropped also while it waits, wherever it has come. One that is
    /// being polled is dropped afterwards.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Cancelled, Submit};
    /// use kernel::time::{delay::fsleep, Delta};
    ///
    /// let domain = new_async_domain!("scans", GFP_KERNEL)?;
    /// let scan = domain.schedule(GFP_KERNEL, |context| {
    ///     while !context.should_stop() {
    ///         fsleep(Delta::from_millis(1)); // ... a piece of it ...
    ///     }
    /// })?;
    ///
    /// if domain.cancel(scan) == Cancelled::Dropped {
    ///     pr_info!("it had not begun\n");
    /// }
    /// // And all others.
    /// domain.cancel_all();
    /// domain.synchronize(..)?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Context
    ///
    /// Any in which what is cancelled can be dropped.
    // Tested by: model domain-cancel, kunit what_has_not_started_never_runs_and_is_dropped_once.
    pub fn cancel(&self, cookie: Cookie) -> Cancelled {
        Cancelled::of(self.take(cookie))
    }

    /// As [`Self::cancel`], for a domain that may be gone. Cookies are never used again: another domain at
    /// the same address has no such task.
    // Tested by: kunit a_handle_cancels_its_task.
    pub(crate) fn cancel_at(domain: *const Self, cookie: Cookie) -> Cancelled {
        let Some(domain) = registry::locked(|registry| registry.pin_at(domain)) else {
            return Cancelled::NotFound;
        };
        let found = domain.take(cookie);

        // Before the task is dropped, which may own the domain, and would wait for the pin.
        registry::locked(|registry| domain.unpin(registry));
        Cancelled::of(found)
    }

    /// Dequeues one task; asks it to stop if it has begun.
    // Tested by: mutant cancelled-not-dropped, mutant closure-leaked-on-cancel.
    fn take(&self, cookie: Cookie) -> Option<Option<Taken>> {
        self.queue.with(|state| {
            from_last(state, |state, node| {
                (node.cookie() == cookie).then(|| take(state, node, self))
            })
        })
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
            from_last(state, |state, node| {
                if node.cookie() < below {
                    take(state, node, self)
                } else {
                    None
                }
            })
        })) {
            count += 1;
        }
        count
    }
}

impl AsyncDomain {
    /// Runs the first task of a scope that no worker has begun with, in the context of the caller;
    /// returns whether there was one.
    ///
    /// The first, since the others may wait for it.
    // Tested by: model domain-cancel, kunit what_has_not_started_never_runs_and_is_dropped_once.
    pub(crate) fn help(&self, scope: &ScopeData) -> bool {
        let taken = self.queue.with(|state| {
            let first = state
                .pending
                .iter()
                .find(|&node| {
                    node.has(flag::QUEUED) && task_of(node).is_some_and(|t| t.is_of(scope))
                })?
                .as_ptr();

            // If that fails, then it was the last one that was queued.
            //
            // SAFETY: It is in the list, and queued.
            unsafe { state.dequeue(self, first.cast()) }
        });
        let Some(task) = taken else {
            return false;
        };
        Task::execute_here(task);
        true
    }
}

/// Calls `f` for each node of the order, the one with the highest cookie first, until it returns
/// something; it must not remove nodes.
// Tested by: model domain-cancel, kunit what_has_not_started_never_runs_and_is_dropped_once.
fn from_last<R>(
    state: &mut State,
    mut f: impl FnMut(&mut State, NodeRef<'_>) -> Option<R>,
) -> Option<R> {
    let mut next = state.pending.last().map(NodeRef::as_ptr);

    while let Some(node) = next {
        // SAFETY: Nodes in the list are valid, and stay there while the lock is held.
        let node = unsafe {
            let node = NodeRef::new(node.as_ptr());
            next = state.pending.before(node).map(NodeRef::as_ptr);
            node
        };
        if let Some(found) = f(state, node) {
            return Some(found);
        }
    }
    None
}

/// What has been dequeued.
enum Taken {
    Task(Owned<ToRun>),
    Future(OwnedFuture),
}

/// Dequeues a task, which must be in the order; asks it to stop if it has begun.
// Tested by: mutant cancelled-not-dropped, mutant closure-leaked-on-cancel.
fn take(state: &mut State, node: NodeRef<'_>, domain: &AsyncDomain) -> Option<Taken> {
    node.stop();
    if let Some(spawned) = spawned_of(node) {
        // SAFETY: The future is in the order, and the lock is held.
        return unsafe { OwnedFuture::cancel(spawned) }.map(Taken::Future);
    }
    if !node.has(flag::QUEUED) {
        return None;
    }
    // SAFETY: The task is in the order, and queued.
    unsafe { state.dequeue(domain, node.as_ptr().cast()) }.map(Taken::Task)
}

fn discard(taken: Option<Taken>) -> bool {
    match taken {
        Some(Taken::Task(task)) => {
            trace::task_cancel(&task);
            Task::discard(task);
        }
        Some(Taken::Future(future)) => future.discard(),
        None => return false,
    }
    true
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kernel::prelude::kunit_tests(async_domain_cancel)]
mod tests {
    use super::*;
    use crate::kunit::{
        self,
        domain,
        Gate,
        Thread, //
    };
    use crate::Submit;
    use kernel::{
        prelude::*,
        sync::{
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc, //
        },
        types::ScopeGuard,
    };

    fn counter() -> Result<Arc<Atomic<i32>>> {
        Ok(Arc::new(Atomic::new(0), GFP_KERNEL)?)
    }

    #[test]
    fn what_has_not_started_never_runs_and_is_dropped_once() -> Result {
        const N: i32 = 100;
        let (domain, calls, drops) = (domain()?, counter()?, counter()?);

        kunit::with_full_queue(|| {
            let mut cookies = KVec::new();
            for i in 0..N {
                let (c, d) = (calls.clone(), drops.clone());
                let guard = ScopeGuard::new(move || d.add(1, Relaxed));
                let func = move || {
                    let _guard = guard;
                    c.add(1, Relaxed);
                };
                let cookie = if i % 2 == 0 {
                    domain.schedule(GFP_KERNEL, move |_| func())?
                } else {
                    domain.schedule_ordered(GFP_KERNEL, move |_| func(), |(), _| ())?
                };
                cookies.push(cookie, GFP_KERNEL)?;
            }
            let d = domain.clone();
            let waiter = Thread::spawn(move || d.synchronize(..))?;
            assert!(kunit::eventually(|| domain.stats().waits == 1));

            assert_eq!(domain.cancel(cookies[7]), Cancelled::Dropped);
            assert_eq!(domain.cancel(cookies[7]), Cancelled::NotFound);
            assert_eq!(drops.load(Relaxed), 1);
            // CAST: A small number.
            assert_eq!(domain.cancel_all(), N as usize - 1);
            assert_eq!(domain.cancel_all(), 0);
            assert_eq!(drops.load(Relaxed), N);
            assert_eq!(waiter.join(), Ok(()));
            Ok(())
        })?;
        domain.synchronize(..)?;
        assert_eq!((calls.load(Relaxed), drops.load(Relaxed)), (0, N));
        Ok(())
    }

    #[test]
    fn what_runs_is_asked_to_stop() -> Result {
        let (domain, stopped) = (domain()?, counter()?);
        let started = Gate::new()?;

        for all in [false, true] {
            let (s, begun) = (stopped.clone(), Gate::new()?);
            let b = begun.clone();
            let cookie = domain.schedule(GFP_KERNEL, move |context| {
                b.open();
                if kunit::eventually(|| context.should_stop()) {
                    s.add(1, Relaxed);
                }
            })?;
            begun.wait();
            if all {
                assert_eq!(domain.cancel_all(), 0);
            } else {
                assert_eq!(domain.cancel(cookie), Cancelled::AskedToStop);
            }
            domain.synchronize(..)?;
        }
        started.open();
        assert_eq!(stopped.load(Relaxed), 2);
        Ok(())
    }

    #[test]
    fn tokens_and_unknown_cookies_are_left() -> Result {
        let domain = domain()?;
        let token = domain.begin(GFP_KERNEL)?;

        assert_eq!(domain.cancel(token.cookie()), Cancelled::AskedToStop);
        assert_eq!(domain.cancel(Cookie::now()), Cancelled::NotFound);
        assert_eq!(domain.cancel_all(), 0);
        assert_eq!(domain.lowest_in_progress(), Some(token.cookie()));
        Ok(())
    }

    #[test]
    fn cancelling_races_with_running() -> Result {
        let (domain, calls, drops) = (domain()?, counter()?, counter()?);
        let d = domain.clone();
        let canceller = Thread::spawn(move || (0..200).map(|_| d.cancel_all()).sum::<usize>())?;

        for _ in 0..2000 {
            let (c, d) = (calls.clone(), drops.clone());
            let guard = ScopeGuard::new(move || d.add(1, Relaxed));
            domain.schedule(GFP_KERNEL, move |_| {
                let _guard = guard;
                c.add(1, Relaxed);
            })?;
        }
        // CAST: A small number.
        let cancelled = canceller.join() as i32;
        domain.synchronize(..)?;
        assert_eq!(drops.load(Relaxed), 2000);
        assert_eq!(calls.load(Relaxed) + cancelled, 2000);
        Ok(())
    }
}
