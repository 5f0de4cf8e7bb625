// SPDX-License-Identifier: GPL-2.0

//! Submitting closures.

use super::{
    closure::{
        self,
        Body,
        Closure,
        Ordered,
        Single,
        Work, //
    },
    error::SubmitError,
    target::Placed,
    token::Token, //
};
use crate::{
    domain::core::{
        context::TaskContext,
        cookie::Cookie,
        domain::AsyncDomain,
        header::StackNode,
        running::RunningTask,
        scope_data::ScopeData,
        trace, //
    },
    ffi, //
};
use core::ptr;
use kernel::{
    alloc::Flags,
    prelude::*, //
};

impl AsyncDomain {
    /// Runs a function asynchronously (C's `async_schedule_domain()`); returns its cookie.
    ///
    /// The function runs once, in process context, on the module's workqueue. It learns its own
    /// cookie and can wait for all earlier tasks through its [`TaskContext`]. It never runs in the
    /// caller's context: if it cannot be queued, it is given back.
    ///
    /// The module that calls this cannot be unloaded until the function has returned and all that
    /// it owned has been dropped.
    ///
    /// # Errors
    ///
    /// Gives the closure back with
    ///
    /// - `ENOMEM`: there is no memory for the task.
    /// - `EAGAIN`: the domain has as many unfinished tasks as it may have.
    /// - `ESHUTDOWN`: the domain is closed, or the calling module is being unloaded.
    ///
    /// # Context
    ///
    /// Any, with `flags` that fit it: `GFP_KERNEL` where sleeping is allowed, else `GFP_ATOMIC`;
    /// interrupts may be off.
    #[inline]
    pub fn schedule<F>(&self, func: F, flags: Flags) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&TaskContext<'_>) + Send + 'static,
    {
        self.anywhere().schedule(func, flags)
    }

    /// Runs a function in two parts: `work` in parallel with others, and `retire`, which gets what
    /// `work` has returned, strictly in cookie order.
    ///
    /// `retire` is run by whichever worker moves the frontier: no thread sleeps for the order, and a
    /// great many ordered tasks can be in progress with no more workers than there are CPUs. When
    /// `retire` is called, all earlier tasks of the domain are done, the retire parts of ordered ones
    /// included. For waiters, a task is done when its retire part has run.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::new_async_domain;
    ///
    /// let domain = new_async_domain!("bring_up", GFP_KERNEL)?;
    ///
    /// for i in 0..4 {
    ///     domain.schedule_ordered(
    ///         move |_| i * i, // ... takes its time ...
    ///         move |square, _| pr_info!("{i} squared is {square}\n"),
    ///         GFP_KERNEL,
    ///     )?;
    /// }
    /// domain.synchronize_full()?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Gives both closures back, as [`Self::schedule`] does.
    ///
    /// # Context
    ///
    /// Any, with `flags` that fit it.
    #[inline]
    pub fn schedule_ordered<W, R, T>(
        &self,
        work: W,
        retire: R,
        flags: Flags,
    ) -> Result<Cookie, SubmitError<(W, R)>>
    where
        W: FnOnce(&TaskContext<'_>) -> T + Send + 'static,
        R: FnOnce(T, &TaskContext<'_>) + Send + 'static,
        T: Send + 'static,
    {
        self.anywhere().schedule_ordered(work, retire, flags)
    }

    /// Like [`Self::schedule`], but where the task cannot be queued for want of memory or because of
    /// the limit, the function runs at once, in the caller's context. This is what
    /// `async_schedule_domain()` does without being asked.
    ///
    /// A function that runs in the caller's context has its cookie and its place in the order like
    /// any other, so that others wait for it. Beware that it can only wait for earlier tasks as long
    /// as none of them waits for the caller.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::new_async_domain;
    ///
    /// let domain = new_async_domain!("ports", GFP_KERNEL)?;
    /// // It holds no lock that the function takes, and can wait for it.
    /// domain.schedule_or_run(|_| pr_info!("a port\n"), GFP_KERNEL)?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Gives the closure back with
    ///
    /// - `ESHUTDOWN`: the domain is closed, or the calling module is being unloaded.
    /// - `ENOMEM` or `EAGAIN`: as [`Self::schedule`], if the caller is in an interrupt, where the
    ///   function cannot run.
    ///
    /// # Context
    ///
    /// Process context, in which the function can run; with `flags` that fit it.
    #[inline]
    pub fn schedule_or_run<F>(&self, func: F, flags: Flags) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&TaskContext<'_>) + Send + 'static,
    {
        match self.schedule(func, flags) {
            Err(SubmitError { error, task }) if error == ENOMEM || error == EAGAIN => {
                let mut func = Some(task);
                let cookie = self.run_here(error, &mut |context| {
                    if let Some(func) = func.take() {
                        func(context);
                    }
                });

                match (cookie, func) {
                    (Err(error), Some(task)) => Err(SubmitError { error, task }),
                    // It was run: there is nothing that could be given back.
                    (cookie, _) => Ok(cookie.unwrap_or(Cookie::now())),
                }
            }
            ret => ret,
        }
    }

    /// Takes a cookie for something that is in flight, without a function.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: there is no memory for the token.
    /// - `EAGAIN`: the domain has as many unfinished tasks as it may have.
    /// - `ESHUTDOWN`: the domain is closed, or the calling module is being unloaded.
    ///
    /// # Context
    ///
    /// Any, with `flags` that fit it.
    #[inline(always)]
    // Tested by: kunit schedule_or_run_runs_here_what_cannot_be_queued, kunit submission_with_interrupts_off.
    pub fn begin(&self, flags: Flags) -> Result<Token> {
        // SAFETY: The calling module is valid, since its code is running.
        unsafe { Token::begin(self, flags, ffi::this_module(), ffi::here()) }
    }

    /// Runs a function in the caller's context, with a cookie of its own; fails with `error` in an
    /// interrupt.
    // Tested by: kunit schedule_or_run_runs_here_what_cannot_be_queued, kunit submission_with_interrupts_off.
    fn run_here(&self, error: Error, func: &mut dyn FnMut(&TaskContext<'_>)) -> Result<Cookie> {
        if !ffi::in_task() {
            return Err(error);
        }

        let mut stack_node = StackNode::new();
        let node = stack_node.node();
        // SAFETY: The node is on our stack, where it stays until it is removed below.
        let cookie = unsafe { self.link_unlimited(node) }?;
        trace::task_start_here(self, cookie);

        // SAFETY: The node is in the order of this domain, which we borrow. We are in process
        // context, and may be inside another task.
        let mut run = || unsafe {
            RunningTask::enter_nested(self, node, ptr::null(), |run| func(&TaskContext::new(run)))
        };
        let attached = if RunningTask::runs_one_of(self) {
            // Lockdep knows of this domain already.
            run()
        } else {
            // SAFETY: The domain is valid, since we borrow it.
            unsafe { AsyncDomain::lockdep_task(self, run) }
        };
        if attached {
            // SAFETY: The node is in the order of this domain.
            unsafe { self.finish_elsewhere(node, || ()) };
        }
        Ok(cookie)
    }
}

impl Placed<'_> {
    /// See [`AsyncDomain::schedule`].
    #[inline]
    // Tested by: mutant limit-ignored, kunit out_of_memory_gives_the_closure_back.
    pub fn schedule<F>(self, func: F, flags: Flags) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&TaskContext<'_>) + Send + 'static,
    {
        // SAFETY: The closure is `'static`.
        unsafe { self.submit_work(Closure(func), flags, ptr::null()) }
            .map_err(|error| error.map(|Closure(func)| func))
    }

    /// See [`AsyncDomain::schedule_ordered`].
    #[inline]
    // Tested by: mutant limit-ignored, kunit out_of_memory_gives_the_closure_back.
    pub fn schedule_ordered<W, R, T>(
        self,
        work: W,
        retire: R,
        flags: Flags,
    ) -> Result<Cookie, SubmitError<(W, R)>>
    where
        W: FnOnce(&TaskContext<'_>) -> T + Send + 'static,
        R: FnOnce(T, &TaskContext<'_>) + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: The closures, and what they exchange, are `'static`.
        unsafe { self.submit_body(Ordered::new(work, retire), flags, ptr::null()) }
            // SAFETY: It was not queued, and so not run.
            .map_err(|error| error.map(|body| unsafe { body.into_parts() }))
    }

    /// Like [`Self::submit_body`], for what is run in one go.
    ///
    /// # Safety
    ///
    /// As below.
    #[inline]
    // Tested by: mutant limit-ignored, kunit out_of_memory_gives_the_closure_back.
    pub(crate) unsafe fn submit_work<W: Work>(
        self,
        work: W,
        flags: Flags,
        scope: *const ScopeData,
    ) -> Result<Cookie, SubmitError<W>> {
        // SAFETY: By the caller's promise.
        unsafe { self.submit_body(Single(work), flags, scope) }
            .map_err(|error| error.map(|Single(work)| work))
    }

    /// Makes a task of a body and submits it; gives the body back if that fails.
    ///
    /// # Safety
    ///
    /// The body must be `'static`, or outlive the scope, which must outlive the task.
    #[inline]
    // Tested by: mutant limit-ignored, kunit out_of_memory_gives_the_closure_back.
    pub(crate) unsafe fn submit_body<B: Body>(
        self,
        body: B,
        flags: Flags,
        scope: *const ScopeData,
    ) -> Result<Cookie, SubmitError<B>> {
        let task = closure::alloc(body, flags).map_err(|task| SubmitError {
            error: ENOMEM,
            task,
        })?;

        // SAFETY: The task has just been made; the caller answers for what it borrows.
        unsafe { self.domain.submit_task(task, self.node, scope) }.map_err(|error| SubmitError {
            error,
            // SAFETY: The task comes from above, with this type of body, and was not queued.
            task: unsafe {
                let body = closure::take(task);
                closure::free(task);
                body
            },
        })
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_submit)]
mod tests {
    use super::*;
    use crate::{
        errno::{
            EDEADLK,
            ESHUTDOWN, //
        },
        kunit::{
            self,
            domain,
            Gate, //
        },
        OwnedDomain, //
    };
    use kernel::{
        sync::{
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc, //
        },
        time::Delta,
        types::ScopeGuard, //
    };

    /// A closure that counts its calls and its drops.
    fn counting(
        calls: &Arc<Atomic<i32>>,
        drops: &Arc<Atomic<i32>>,
    ) -> impl FnOnce(&TaskContext<'_>) + Send + 'static {
        let (calls, drops) = (calls.clone(), drops.clone());
        let guard = ScopeGuard::new(move || drops.add(1, Relaxed));

        move |_: &TaskContext<'_>| {
            let _guard = guard;
            calls.add(1, Relaxed);
        }
    }

    fn counter() -> Result<Arc<Atomic<i32>>> {
        Ok(Arc::new(Atomic::new(0), GFP_KERNEL)?)
    }

    #[test]
    fn each_closure_is_called_and_dropped_once() -> Result {
        let (calls, drops) = (counter()?, counter()?);
        let domain = domain()?;

        for _ in 0..1000 {
            domain.schedule(counting(&calls, &drops), GFP_KERNEL)?;
        }
        domain.synchronize_full()?;
        assert_eq!(calls.load(Relaxed), 1000);
        assert_eq!(drops.load(Relaxed), 1000);
        let stats = domain.stats();
        assert_eq!((stats.submitted, stats.finished), (1000, 1000));
        Ok(())
    }

    #[test]
    fn out_of_memory_gives_the_closure_back() -> Result {
        if kunit::lacks_failslab() {
            return Ok(());
        }
        let (calls, drops) = (counter()?, counter()?);
        let domain = domain()?;
        let func = counting(&calls, &drops);

        let ret = kunit::without_memory(|| domain.schedule(func, GFP_NOWAIT));
        let Err(SubmitError { error, task: func }) = ret else {
            return Err(EINVAL);
        };
        assert_eq!(error, ENOMEM);
        assert_eq!((calls.load(Relaxed), drops.load(Relaxed)), (0, 0));
        assert_eq!(domain.stats().submitted, 0);

        // It is as good as new.
        domain.schedule(func, GFP_KERNEL)?;
        domain.synchronize_full()?;
        assert_eq!((calls.load(Relaxed), drops.load(Relaxed)), (1, 1));

        let ret = kunit::without_memory(|| domain.begin(GFP_NOWAIT));
        assert!(matches!(ret, Err(e) if e == ENOMEM));
        domain.synchronize_full()
    }

    #[test]
    fn past_the_limit_submission_fails() -> Result {
        let (calls, drops) = (counter()?, counter()?);
        let domain = domain()?;

        domain.set_limit(2);
        let token = domain.begin(GFP_KERNEL)?;
        let gate = Gate::new()?;
        let g = gate.clone();
        let cookie = domain.schedule(move |_| g.wait(), GFP_KERNEL)?;

        let Err(SubmitError { error, task: func }) =
            domain.schedule(counting(&calls, &drops), GFP_KERNEL)
        else {
            return Err(EINVAL);
        };
        assert_eq!(error, EAGAIN);
        assert!(matches!(domain.begin(GFP_KERNEL), Err(e) if e == EAGAIN));
        assert_eq!(drops.load(Relaxed), 0);

        token.finish();
        domain.schedule(func, GFP_KERNEL)?;
        gate.open();
        domain.synchronize_cookie(cookie.next())?;
        domain.synchronize_full()?;
        assert_eq!((calls.load(Relaxed), drops.load(Relaxed)), (1, 1));
        Ok(())
    }

    #[test]
    fn schedule_or_run_runs_here_what_cannot_be_queued() -> Result {
        if kunit::lacks_failslab() {
            return Ok(());
        }
        let domain = domain()?;
        let ran_by = counter()?;
        let pid = ffi::current_pid;
        let report = |r: Arc<Atomic<i32>>| move |_: &TaskContext<'_>| r.store(pid(), Relaxed);

        let cookie = domain.schedule_or_run(report(ran_by.clone()), GFP_KERNEL)?;
        domain.synchronize_cookie(cookie.next())?;
        assert!(ran_by.load(Relaxed) != 0 && ran_by.load(Relaxed) != pid());

        let func = report(ran_by.clone());
        let inline = kunit::without_memory(|| domain.schedule_or_run(func, GFP_NOWAIT))?;
        assert_eq!(ran_by.load(Relaxed), pid());
        assert!(inline > cookie);

        // It has its place in the order, and can say when it would wait for its own caller.
        domain.set_limit(0);
        let (d, results) = (domain.clone(), counter()?);
        let r = results.clone();
        domain.schedule_or_run(
            move |outer| {
                let lowest = d.lowest_in_progress() == Some(outer.cookie());
                let d2 = d.clone();
                let r2 = r.clone();
                let nested = d.schedule_or_run(
                    move |inner| {
                        if inner.synchronize() == Err(EDEADLK)
                            && d2.synchronize_full() == Err(EDEADLK)
                        {
                            r2.add(1, Relaxed);
                        }
                    },
                    GFP_KERNEL,
                );
                if lowest && nested.is_ok() && outer.synchronize().is_ok() {
                    r.add(10, Relaxed);
                }
            },
            GFP_KERNEL,
        )?;
        assert_eq!(results.load(Relaxed), 11);

        domain.close();
        let (calls, drops) = (counter()?, counter()?);
        let ret = domain.schedule_or_run(counting(&calls, &drops), GFP_KERNEL);
        assert!(matches!(&ret, Err(e) if e.error == ESHUTDOWN));
        assert_eq!((calls.load(Relaxed), drops.load(Relaxed)), (0, 0));
        drop(ret);
        assert_eq!((calls.load(Relaxed), drops.load(Relaxed)), (0, 1));
        Ok(())
    }

    #[test]
    fn schedule_or_run_does_not_run_after_the_domain_is_closed() -> Result {
        if kunit::lacks_failslab() {
            return Ok(());
        }
        let (calls, drops) = (counter()?, counter()?);
        let domain = domain()?;
        let func = counting(&calls, &drops);

        domain.close();
        // For want of memory it is not the submission that finds the domain closed.
        let ret = kunit::without_memory(|| domain.schedule_or_run(func, GFP_NOWAIT));
        assert!(matches!(&ret, Err(e) if e.error == ESHUTDOWN));
        assert_eq!((calls.load(Relaxed), drops.load(Relaxed)), (0, 0));
        Ok(())
    }

    #[test]
    fn schedule_or_run_does_not_run_in_an_interrupt() -> Result {
        // There, locks sleep, and nothing can be submitted in a hard interrupt.
        if cfg!(CONFIG_PREEMPT_RT) {
            return Ok(());
        }
        let (calls, refused) = (counter()?, counter()?);
        let domain = domain()?;
        let (d, c, r) = (domain.clone(), calls.clone(), refused.clone());
        let submit = move || {
            let c = c.clone();
            let func = move |_: &TaskContext<'_>| c.add(1, Relaxed);
            let ret =
                ffi::with_spin_locks(|| d.schedule_or_run(func, GFP_NOWAIT).map_err(Error::from));

            r.store(ret.map_or_else(|e| e.to_errno(), |_| 0), Relaxed);
        };

        domain.set_limit(0);
        kunit::Interrupt::during(Delta::from_millis(1), submit, || ())?;
        assert_eq!(refused.load(Relaxed), EAGAIN.to_errno());
        assert_eq!(calls.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn submission_with_interrupts_off() -> Result {
        let (calls, drops) = (counter()?, counter()?);
        let domain = domain()?;
        let func = counting(&calls, &drops);

        let cookie = kunit::with_interrupts_off(|| domain.schedule(func, GFP_ATOMIC))?;
        let token = kunit::with_interrupts_off(|| domain.begin(GFP_ATOMIC))?;
        assert!(token.cookie() > cookie);
        kunit::with_hard_interrupts_off(|| token.finish());
        domain.synchronize_full()?;
        assert_eq!(calls.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn tasks_may_submit_tasks() -> Result {
        let domain = domain()?;
        let calls = counter()?;

        fn chain(domain: Arc<OwnedDomain>, calls: Arc<Atomic<i32>>, left: u32) {
            let d = domain.clone();
            let _ = domain.schedule(
                move |_| {
                    calls.add(1, Relaxed);
                    if left > 1 {
                        chain(d, calls, left - 1);
                    }
                },
                GFP_KERNEL,
            );
        }
        chain(domain.clone(), calls.clone(), 100);
        domain.synchronize_full()?;
        assert_eq!(calls.load(Relaxed), 100);
        Ok(())
    }

    #[test]
    fn unfinished_tasks_hold_their_module() -> Result {
        // SAFETY: The module is this one, which is running.
        let refs = || unsafe { (*ffi::this_module()).refcnt.counter };
        let domain = domain()?;
        let gate = Gate::new()?;
        let before = refs();

        let g = gate.clone();
        let cookie = domain.schedule(move |_| g.wait(), GFP_KERNEL)?;
        let token = domain.begin(GFP_KERNEL)?;
        // The domain, once for both.
        assert_eq!(refs(), before + 1);

        token.finish();
        assert_eq!(refs(), before + 1);
        gate.open();
        domain.synchronize_cookie(cookie.next())?;
        // At once: who has waited can unload it.
        assert_eq!(refs(), before);
        Ok(())
    }

    #[test]
    fn tasks_that_have_dropped_their_domain_hold_their_module() -> Result {
        // SAFETY: The module is this one, which is running.
        let refs = || unsafe { (*ffi::this_module()).refcnt.counter };
        let before = refs();
        let (first, second, dropped) = (Gate::new()?, Gate::new()?, Gate::new()?);
        let domain = domain()?;

        let (own, f, s, d) = (
            domain.clone(),
            first.clone(),
            second.clone(),
            dropped.clone(),
        );
        domain.schedule(
            move |_| {
                f.wait();
                // The last reference.
                drop(own);
                d.open();
                s.wait();
            },
            GFP_KERNEL,
        )?;
        drop(domain);
        first.open();
        dropped.wait();
        assert_eq!(refs(), before + 1);
        second.open();
        assert!(kunit::eventually(|| refs() == before));
        Ok(())
    }
}
