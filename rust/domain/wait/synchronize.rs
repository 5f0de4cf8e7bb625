// SPDX-License-Identifier: GPL-2.0

//! Waiting for tasks.

use super::overdue;
use crate::{
    domain::core::{
        context::TaskContext,
        cookie::{
            Cookie,
            CookieRange, //
        },
        domain::AsyncDomain,
        running::RunningTask, //
    },
    errno::{
        EDEADLK,
        ESHUTDOWN, //
    },
    wait::{
        AtLeast,
        WaitMode, //
    }, //
};
use kernel::prelude::*;

impl AsyncDomain {
    /// Waits until tasks are done: `..` for all (C's `async_synchronize_full_domain()`), `..cookie` for those
    /// below a cookie (C's `async_synchronize_cookie_domain()`), `..=cookie` for that one too.
    ///
    /// Cookies are comparable over all domains: the cookie may come from another one. `..` waits for tasks that
    /// are submitted in the meantime, too; `..Cookie::now()` only for what has been submitted so far.
    ///
    /// With `..`, lockdep knows of the dependency: a caller that holds a lock which one of the tasks takes is
    /// reported, as with `flush_work()`.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Cookie, Submit};
    ///
    /// let domain = new_async_domain!("ports", GFP_KERNEL)?;
    /// let first = domain.schedule(GFP_KERNEL, |_| pr_info!("first\n"))?;
    /// domain.schedule(GFP_KERNEL, |_| pr_info!("second\n"))?;
    ///
    /// domain.synchronize(..=first)?;
    /// domain.synchronize(..Cookie::now())?;
    /// domain.synchronize(..)?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EDEADLK`: the calling thread is inside one of these tasks, and would wait for itself.
    /// - `EINVAL`: the cookie is one from the future, [`Cookie::now`] or above.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    pub fn synchronize(&self, tasks: impl CookieRange) -> Result {
        self.synchronize_with(WaitMode::UNINTERRUPTIBLE, tasks)
    }

    /// Like [`Self::synchronize`], with a wait that a signal or a time limit may end.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Cookie, WaitMode};
    /// use kernel::time::Delta;
    ///
    /// let domain = new_async_domain!("commands", GFP_KERNEL)?;
    /// let mode = WaitMode::KILLABLE.timeout(Delta::from_millis(20));
    /// let command = domain.begin(GFP_KERNEL)?;
    ///
    /// assert_eq!(domain.synchronize_with(mode, ..Cookie::now()), Err(ETIMEDOUT));
    /// command.finish();
    /// domain.synchronize_with(mode, ..)?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EDEADLK`, `EINVAL`: as above.
    /// - `ERESTARTSYS`: a signal came that `mode` allows for.
    /// - `ETIMEDOUT`: the time that `mode` allows for is over.
    pub fn synchronize_with(&self, mode: impl Into<WaitMode>, tasks: impl CookieRange) -> Result {
        match tasks.end() {
            Some(cookie) if cookie > Cookie::now() => Err(EINVAL),
            Some(cookie) => self.wait_below(cookie, mode.into()),
            None => self.wait_for_all(mode.into()),
        }
    }

    /// Waits until the domain has no unfinished task.
    fn wait_for_all(&self, mode: WaitMode) -> Result {
        if !RunningTask::is_inside(self, Cookie::IDLE) {
            self.lockdep_drain();
        }
        self.wait_below(Cookie::IDLE, mode)
    }

    /// Waits until the frontier has reached the cookie.
    pub(crate) fn wait_below(&self, cookie: Cookie, mode: WaitMode) -> Result {
        self.queue.wait(mode, |state| {
            if state.frontier() >= cookie {
                return Ok(None);
            }
            if RunningTask::is_inside(self, cookie) {
                return Err(EDEADLK);
            }
            Ok(Some(AtLeast(cookie)))
        })
    }

    /// Like [`Self::synchronize`] with `..`, for a thread that cannot go on before: the kernel log says what it
    /// waits for, and `what` about the domain.
    pub(crate) fn drain(&self, what: &str) -> Result {
        overdue::wait(
            |mode| self.wait_for_all(mode),
            |seconds| overdue::report(self, what, seconds),
        )
    }

    /// Waits until there is neither a task nor a pin, and says so as [`Self::drain`] does.
    pub(crate) fn wait_unused(&self, what: &str) {
        // It cannot fail: nothing but the condition ends it.
        let _ = overdue::wait(
            |mode| {
                self.queue.wait(mode, |state| {
                    Ok((state.frontier() < Cookie::UNUSED).then_some(AtLeast(Cookie::UNUSED)))
                })
            },
            |seconds| overdue::report(self, what, seconds),
        );
        // Who woke us did so with the lock held and may hold it still: do not return, and let the
        // domain be freed, before it has been given back.
        self.queue.with(|_| ());
    }
}

impl TaskContext<'_> {
    /// Waits until all tasks of the domain that were submitted before this one are done: what the
    /// task does from then on happens in cookie order. This is the classic use of
    /// [`kernel/async.c`](srctree/kernel/async.c), `async_synchronize_cookie()` with one's own
    /// cookie.
    ///
    /// The task's worker sleeps in the meantime.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Submit};
    ///
    /// let disks = new_async_domain!("disks", GFP_KERNEL)?;
    /// disks.schedule(GFP_KERNEL, |context| {
    ///     let sectors = 4096; // ... asks the disk ...
    ///     context.synchronize()?;
    ///     pr_info!("in the order of submission: {sectors}\n");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - `EDEADLK`: the thread is also inside an earlier task of the domain, which called
    ///   [`schedule_or_run`](crate::Submit::schedule_or_run); or the task belongs to a
    ///   [`Scope`](crate::Scope) that an earlier task of the domain has opened, which waits for it.
    /// - `ESHUTDOWN`: the task itself has dropped the domain, so that nothing is left to wait for.
    pub fn synchronize(&self) -> Result {
        self.with_domain(|domain| domain.synchronize(..self.cookie()))
            .unwrap_or(Err(ESHUTDOWN))
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_synchronize)]
mod tests {
    use super::*;
    use crate::kunit::{
        self,
        domain,
        eventually,
        settle,
        Thread, //
    };
    use crate::Submit;
    use crate::Token;
    use kernel::{
        sync::{
            atomic::{
                ordering::{
                    Acquire,
                    Relaxed,
                    Release, //
                },
                Atomic, //
            },
            Arc, //
        },
        time::Delta, //
    };

    fn tokens(domain: &AsyncDomain, n: usize) -> Result<KVec<Option<Token>>> {
        let mut tokens = KVec::with_capacity(n, GFP_KERNEL)?;
        for _ in 0..n {
            tokens.push(Some(domain.begin(GFP_KERNEL)?), GFP_KERNEL)?;
        }
        Ok(tokens)
    }

    const N: usize = 64;

    /// 64 tokens, a waiter for each. The tokens are finished in the given order; each time, exactly
    /// the waiters return that have no unfinished token up to theirs, each by one context switch.
    fn staircase(order: &[usize]) -> Result {
        let domain = domain()?;
        let mut tokens = tokens(&domain, N)?;
        let returned = Arc::new([const { Atomic::<i32>::new(0) }; N], GFP_KERNEL)?;
        let mut threads = KVec::with_capacity(N, GFP_KERNEL)?;

        for i in 0..N {
            let cookie = tokens[i].as_ref().ok_or(EINVAL)?.cookie();
            let (d, r) = (domain.clone(), returned.clone());

            let thread = Thread::spawn(move || {
                let mut ret = Err(EINVAL);
                let switches = kunit::count_switches(|| {
                    ret = d.synchronize(..=cookie);
                });
                r[i].store(1, Release);
                (ret, switches)
            })?;
            threads.push(thread, GFP_KERNEL)?;
        }
        // CAST: A small number.
        assert!(eventually(|| domain.stats().waits == N as u64));
        for thread in &threads {
            assert!(thread.falls_asleep());
        }

        for &finished in order {
            tokens[finished] = None;

            let frontier = tokens.iter().position(Option::is_some).unwrap_or(N);
            assert!(eventually(
                || (0..frontier).all(|i| returned[i].load(Acquire) == 1)
            ));
            assert!((frontier..N).all(|i| returned[i].load(Acquire) == 0));
        }

        for thread in threads {
            assert_eq!(thread.join(), (Ok(()), 1));
        }
        let stats = domain.stats();
        // CAST: A small number.
        assert_eq!(stats.wakeups, N as u64);
        assert_eq!(stats.spurious, 0);
        // Each walk looked at one waiter at most that it did not wake.
        // CAST: A small number.
        assert!(stats.skipped < N as u64);
        Ok(())
    }

    #[test]
    fn ranges_end_before_a_cookie_or_with_it() -> Result {
        let domain = domain()?;
        let (first, second) = (domain.begin(GFP_KERNEL)?, domain.begin(GFP_KERNEL)?);
        let (a, b) = (first.cookie(), second.cookie());
        let looks = WaitMode::UNINTERRUPTIBLE.timeout(Delta::ZERO);

        assert_eq!(domain.synchronize_with(looks, ..a), Ok(()));
        assert_eq!(domain.synchronize_with(looks, ..=a), Err(ETIMEDOUT));
        first.finish();
        assert_eq!(domain.synchronize_with(looks, ..=a), Ok(()));
        assert_eq!(domain.synchronize_with(looks, ..b), Ok(()));
        assert_eq!(domain.synchronize_with(looks, ..=b), Err(ETIMEDOUT));
        assert_eq!(domain.synchronize_with(looks, ..), Err(ETIMEDOUT));
        second.finish();
        assert_eq!(domain.synchronize_with(looks, ..), Ok(()));
        // From the future.
        assert_eq!(domain.synchronize(..=Cookie::now()), Err(EINVAL));
        Ok(())
    }

    #[test]
    fn staircase_in_order() -> Result {
        let mut order = KVec::new();
        for i in 0..N {
            order.push(i, GFP_KERNEL)?;
        }
        staircase(&order)
    }

    #[test]
    fn staircase_in_reverse() -> Result {
        let mut order = KVec::new();
        for i in (0..N).rev() {
            order.push(i, GFP_KERNEL)?;
        }
        staircase(&order)
    }

    #[test]
    fn staircase_at_random() -> Result {
        staircase(&kunit::shuffled(N)?)
    }

    #[test]
    fn finishing_behind_the_frontier_walks_nobody() -> Result {
        let domain = domain()?;
        let mut tokens = tokens(&domain, 8)?;
        let d = domain.clone();
        let waiter = Thread::spawn(move || d.synchronize(..))?;
        assert!(eventually(|| domain.stats().waits == 1));

        for i in 1..8 {
            tokens[i] = None;
        }
        assert_eq!(domain.stats().skipped, 0);
        assert_eq!(domain.stats().wakeups, 0);
        tokens[0] = None;
        assert_eq!(waiter.join(), Ok(()));
        assert_eq!(domain.stats().wakeups, 1);
        Ok(())
    }

    #[test]
    fn domains_do_not_wake_each_other() -> Result {
        let (a, b) = (domain()?, domain()?);
        let token = a.begin(GFP_KERNEL)?;
        let d = a.clone();
        let waiter = Thread::spawn(move || {
            let mut ret = Err(EINVAL);
            (kunit::count_switches(|| ret = d.synchronize(..)), ret)
        })?;
        assert!(eventually(|| a.stats().waits == 1));

        for _ in 0..100 {
            b.begin(GFP_KERNEL)?.finish();
            b.schedule(GFP_KERNEL, |_| ())?;
        }
        assert_eq!(b.synchronize(..), Ok(()));
        settle();
        assert_eq!(
            (a.stats().wakeups, a.stats().skipped, a.stats().spurious),
            (0, 0, 0)
        );

        token.finish();
        assert_eq!(waiter.join(), (1, Ok(())));
        Ok(())
    }

    #[test]
    fn cookie_of_now_does_not_wait_for_what_comes_later() -> Result {
        let domain = domain()?;
        let first = domain.begin(GFP_KERNEL)?;
        let now = Cookie::now();
        let second = domain.begin(GFP_KERNEL)?;

        assert_eq!(domain.lowest_in_progress(), Some(first.cookie()));
        first.finish();
        assert_eq!(domain.lowest_in_progress(), Some(second.cookie()));
        assert_eq!(domain.synchronize(..now), Ok(()));
        // One from the future.
        assert_eq!(domain.synchronize(..=Cookie::now()), Err(EINVAL));
        second.finish();
        assert_eq!(domain.lowest_in_progress(), None);
        Ok(())
    }

    #[test]
    fn waits_can_time_out_and_be_interrupted() -> Result {
        let domain = domain()?;
        let token = domain.begin(GFP_KERNEL)?;
        let mode = WaitMode::KILLABLE.timeout(Delta::from_millis(20));

        assert_eq!(domain.synchronize_with(mode, ..), Err(ETIMEDOUT));
        assert_eq!(
            domain.synchronize_with(mode, ..Cookie::now()),
            Err(ETIMEDOUT)
        );
        assert_eq!(domain.synchronize_with(mode, ..token.cookie()), Ok(()));

        let d = domain.clone();
        let waiter = Thread::spawn(move || {
            kunit::allow_signal(kernel::bindings::SIGUSR1);
            d.synchronize_with(WaitMode::INTERRUPTIBLE, ..)
        })?;
        assert!(eventually(|| domain.stats().waits == 3));
        assert!(waiter.falls_asleep());
        waiter.signal(kernel::bindings::SIGUSR1);
        assert_eq!(waiter.join(), Err(ERESTARTSYS));

        token.finish();
        assert_eq!(domain.synchronize(..), Ok(()));
        assert_eq!(domain.stats().wakeups, 0);
        Ok(())
    }

    #[test]
    fn visible_parts_happen_in_cookie_order() -> Result {
        let domain = domain()?;
        let next = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;
        let wrong = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;
        let order = kunit::shuffled(32)?;

        for i in 0..32 {
            let (n, w) = (next.clone(), wrong.clone());
            // CAST: A small number.
            let delay = order[i] as i64;

            domain.schedule(GFP_KERNEL, move |context| {
                kernel::time::delay::fsleep(kernel::time::Delta::from_millis(delay));
                let ret = context.synchronize();
                if ret.is_err() || n.fetch_add(1, Relaxed) != i as i32 {
                    w.add(1, Relaxed);
                }
            })?;
        }
        assert_eq!(domain.synchronize(..), Ok(()));
        assert_eq!(next.load(Relaxed), 32);
        assert_eq!(wrong.load(Relaxed), 0);
        assert_eq!(domain.stats().spurious, 0);
        Ok(())
    }

    #[test]
    fn a_task_that_drains_its_own_domain_gets_an_error() -> Result {
        let domain = domain()?;
        let errors = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;
        let (d, e) = (domain.clone(), errors.clone());

        let cookie = domain.schedule(GFP_KERNEL, move |context| {
            let own = context.cookie();
            let rets = [
                d.synchronize(..),
                d.synchronize(..=own),
                crate::synchronize_all(),
            ];
            // CAST: A small number.
            e.add(
                rets.iter().filter(|&&ret| ret == Err(EDEADLK)).count() as i32,
                Relaxed,
            );
            if d.synchronize(..own).is_ok() && context.synchronize().is_ok() {
                e.add(10, Relaxed);
            }
        })?;
        assert_eq!(domain.synchronize(..=cookie), Ok(()));
        assert_eq!(errors.load(Relaxed), 13);
        Ok(())
    }
}
