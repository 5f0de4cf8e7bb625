// SPDX-License-Identifier: GPL-2.0

//! The forms of submission, on whatever target.

use super::{
    batch,
    closure::{
        self,
        Closure,
        Ordered, //
    },
    error::SubmitError,
    handle::{
        self,
        Handle, //
    },
    item::{
        self,
        TaskItem,
        TaskPointer, //
    },
    outcome::Outcome,
    spawn,
    target::{
        Accepts,
        OnNode, //
    },
    token::Token, //
};
use crate::{
    domain::core::{
        context::TaskContext,
        cookie::Cookie,
        domain::AsyncDomain,
        header::StackNode,
        module_refs::Caller,
        running::RunningTask,
        trace, //
    },
    ffi, //
};
use core::{
    future::Future,
    ops::Range,
    ptr, //
};
use kernel::{
    alloc::Flags,
    device::Device,
    prelude::*, //
};

/// Submission of tasks to a target: a domain, a [node](Submit::on_node), or a [`Scope`](crate::Scope).
///
/// What is submitted may borrow for `'a`: for a scope that is its own lifetime, otherwise it is `'static`.
///
/// The module that submits a task cannot be unloaded until the task is finished and all that it owned has been
/// dropped. (A scope keeps its module otherwise: see [`AsyncDomain::scope`].)
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, Cookie, Submit};
///
/// /// Wherever the caller wants it to run.
/// fn probe(target: &impl Submit<'static>, port: u32) -> Result<Cookie> {
///     Ok(target.schedule(GFP_KERNEL, move |_| pr_info!("port {port}\n"))?)
/// }
///
/// let domain = new_async_domain!("ports", GFP_KERNEL)?;
/// probe(&*domain, 1)?;
/// probe(&domain.on_node(0)?, 2)?;
/// # Ok::<(), Error>(())
/// ```
pub trait Submit<'a>: Accepts<'a> {
    /// Runs a function asynchronously (C's `async_schedule_domain()`); returns its cookie.
    ///
    /// The function runs once, in process context, on the module's workqueue. It learns its own
    /// cookie and can wait for all earlier tasks through its [`TaskContext`]. It never runs in the
    /// caller's context: if it cannot be queued, it is given back.
    ///
    /// It may return a [`Result`], of whose errors the domain keeps the first: see [`Outcome`].
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
    // Tested by: mutant limit-ignored, kunit out_of_memory_gives_the_closure_back.
    fn schedule<F, O>(&self, flags: Flags, func: F) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&TaskContext<'_>) -> O + Send + 'a,
        O: Outcome,
    {
        // SAFETY: The closure lives for `'a`, which fits the target.
        unsafe { closure::submit(self.destination(), flags, Closure::new(func)) }
            .map_err(|error| error.map(Closure::into_inner))
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
    /// use async_domain::{new_async_domain, Submit};
    ///
    /// let domain = new_async_domain!("bring_up", GFP_KERNEL)?;
    ///
    /// for i in 0..4 {
    ///     domain.schedule_ordered(
    ///         GFP_KERNEL,
    ///         move |_| i * i, // ... takes its time ...
    ///         move |square, _| pr_info!("{i} squared is {square}\n"),
    ///     )?;
    /// }
    /// domain.synchronize(..)?;
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
    // Tested by: mutant limit-ignored, kunit out_of_memory_gives_the_closure_back.
    fn schedule_ordered<W, R, T, O>(
        &self,
        flags: Flags,
        work: W,
        retire: R,
    ) -> Result<Cookie, SubmitError<(W, R)>>
    where
        W: FnOnce(&TaskContext<'_>) -> T + Send + 'a,
        R: FnOnce(T, &TaskContext<'_>) -> O + Send + 'a,
        T: Send + 'a,
        O: Outcome,
    {
        // SAFETY: The closures, and what they exchange, live for `'a`, which fits the target.
        unsafe { closure::submit(self.destination(), flags, Ordered::new(work, retire)) }
            // SAFETY: It was not queued, and so not run.
            .map_err(|error| error.map(|body| unsafe { body.into_parts() }))
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
    /// use async_domain::{new_async_domain, Submit};
    ///
    /// let domain = new_async_domain!("ports", GFP_KERNEL)?;
    /// // It holds no lock that the function takes, and can wait for it.
    /// domain.schedule_or_run(GFP_KERNEL, |_| pr_info!("a port\n"))?;
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
    fn schedule_or_run<F, O>(&self, flags: Flags, func: F) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&TaskContext<'_>) -> O + Send + 'a,
        O: Outcome,
    {
        match self.schedule(flags, func) {
            Err(SubmitError { error, task }) if error == ENOMEM || error == EAGAIN => {
                let mut func = Some(task);
                let cookie = self.destination().domain.run_here(error, &mut |context| {
                    if let Some(func) = func.take() {
                        func(context).report(context);
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

    /// Runs many functions asynchronously: all of them or none. Takes the lock once.
    ///
    /// Returns the range of their cookies, which are in the order of the vector: the first one has
    /// the range's start, and `synchronize(..range.end)` waits for all of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Submit, TaskContext};
    ///
    /// let domain = new_async_domain!("ports", GFP_KERNEL)?;
    /// let mut probes = KVec::new();
    /// for port in 0..4 {
    ///     probes.push(move |_: &TaskContext<'_>| pr_info!("port {port}\n"), GFP_KERNEL)?;
    /// }
    ///
    /// let cookies = domain.schedule_batch(GFP_KERNEL, probes)?;
    /// domain.synchronize(..cookies.end)?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Gives the closures back, in their order, as [`Self::schedule`] does with one. `EINVAL`: there
    /// are none.
    ///
    /// # Context
    ///
    /// Any, with `flags` that fit it.
    #[inline]
    // Tested by: mutant batch-in-part, kunit all_are_given_back_or_none.
    fn schedule_batch<F, O>(
        &self,
        flags: Flags,
        funcs: KVec<F>,
    ) -> Result<Range<Cookie>, SubmitError<KVec<F>>>
    where
        F: FnOnce(&TaskContext<'_>) -> O + Send + 'a,
        O: Outcome,
    {
        // SAFETY: The closures live for `'a`, which fits the target.
        unsafe { batch::submit(self.destination(), flags, funcs) }
    }

    /// Runs a function asynchronously and gives a handle by which its value can be waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Submit};
    ///
    /// let domain = new_async_domain!("sums", GFP_KERNEL)?;
    /// let sum = domain.schedule_with_handle(GFP_KERNEL, |_| (1..=100).sum::<u32>())?;
    /// // ... something else ...
    /// assert_eq!(sum.join()?, 5050);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Gives the closure back, as [`Self::schedule`] does.
    ///
    /// # Context
    ///
    /// Any, with `flags` that fit it.
    #[inline]
    // Tested by: kunit values_of_dropped_handles_are_dropped, compile-fail handle_value_borrows.
    fn schedule_with_handle<F, T>(&self, flags: Flags, func: F) -> Result<Handle<T>, SubmitError<F>>
    where
        F: FnOnce(&TaskContext<'_>) -> T + Send + 'a,
        T: Send + 'a,
    {
        // SAFETY: The closure and its value live for `'a`, which fits the target.
        unsafe { handle::submit(self.destination(), flags, func) }
    }

    /// Runs a future asynchronously; returns its cookie.
    ///
    /// The future has its place in the domain's order like any task, until it is ready and has been
    /// dropped. It is polled in process context, by a worker, by one at a time; whenever it has to wait,
    /// the worker goes. Wakers of the future may be called, cloned and dropped in any context, hard
    /// interrupts included, and kept for as long as one likes. A future that is woken while it is
    /// polled is polled again, and one that is ready is not.
    ///
    /// A future should not block for long: where a task [synchronizes](AsyncDomain::synchronize), a
    /// future [awaits](AsyncDomain::synchronize_async). It can be [cancelled](AsyncDomain::cancel) not only before it has started,
    /// but whenever it waits: it is dropped there.
    ///
    /// The module that calls this cannot be unloaded until the future has been dropped. One that waits
    /// for something that never comes keeps its domain undrained, as a leaked token does.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Submit};
    /// use kernel::sync::Arc;
    ///
    /// let domain = Arc::new(new_async_domain!("futures", GFP_KERNEL)?, GFP_KERNEL)?;
    /// let reset = domain.begin(GFP_KERNEL)?;
    ///
    /// let (d, reset_done) = (domain.clone(), reset.cookie().next());
    /// domain.spawn(GFP_KERNEL, async move {
    ///     // Until the interrupt has come; no thread sleeps.
    ///     if d.synchronize_async(GFP_KERNEL, ..reset_done).await.is_ok() {
    ///         pr_info!("reset\n");
    ///     }
    /// })?;
    /// // ... the interrupt handler does this:
    /// reset.finish();
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Gives the future back, as [`Self::schedule`] does its closure.
    ///
    /// # Context
    ///
    /// Any, with `flags` that fit it.
    #[inline]
    fn spawn<F>(&self, flags: Flags, future: F) -> Result<Cookie, SubmitError<F>>
    where
        'a: 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        spawn::submit(self.destination(), flags, future)
    }

    /// Runs an item that brings its own memory. Never allocates, and never runs the item in the
    /// caller's context.
    ///
    /// The item may free itself, or submit itself again, in its own function. That must not wait for what it
    /// submits in the same memory, if both are run by work items of their own, as tasks are that were asked to
    /// run on a node, and others in need: the workqueue knows an item by its address, and does not begin with it
    /// before the function returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{AsyncDomain, Submit, TaskItem};
    /// use kernel::sync::Arc;
    ///
    /// // Once more, unless it is queued already. See `TaskHeader` for an item.
    /// fn kick<T: TaskItem<Pointer = Arc<T>>>(domain: &AsyncDomain, item: &Arc<T>) -> Result {
    ///     match domain.submit(item.clone()) {
    ///         Err(refused) if refused.error != EBUSY => Err(refused.error),
    ///         _ => Ok(()),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Gives the item back with
    ///
    /// - `EBUSY`: it is queued already.
    /// - `EAGAIN`: the domain has as many unfinished tasks as it may have.
    /// - `ESHUTDOWN`: the domain is closed, or the module that made the item is being unloaded.
    ///
    /// # Context
    ///
    /// Any.
    #[inline]
    fn submit<P, const ID: u64>(&self, item: P) -> Result<Cookie, SubmitError<P>>
    where
        'a: 'static,
        P: TaskPointer<ID>,
        P::Item: TaskItem<ID, Pointer = P>,
    {
        item::submit(self.destination(), item)
    }

    /// Tasks that are submitted through this run on a NUMA node (C's
    /// `async_schedule_node_domain()`).
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Submit};
    ///
    /// let domain = new_async_domain!("placed", GFP_KERNEL)?;
    /// domain.on_node(0)?.schedule(GFP_KERNEL, |_| pr_info!("on node 0\n"))?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL`: there cannot be such a node.
    fn on_node(&self, nid: i32) -> Result<OnNode<'_, Self>> {
        OnNode::new(self, nid).ok_or(EINVAL)
    }

    /// Tasks that are submitted through this run on the NUMA node of a device, if it has one (C's
    /// `async_schedule_dev_domain()`).
    fn near(&self, device: &Device) -> OnNode<'_, Self> {
        OnNode::near(self, device)
    }
}

impl<'a, T: Accepts<'a> + ?Sized> Submit<'a> for T {}

impl AsyncDomain {
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
        Token::begin(self, flags, Caller::here(), ffi::here())
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
            domain.schedule(GFP_KERNEL, counting(&calls, &drops))?;
        }
        domain.synchronize(..)?;
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

        let ret = kunit::without_memory(|| domain.schedule(GFP_NOWAIT, func));
        let Err(SubmitError { error, task: func }) = ret else {
            return Err(EINVAL);
        };
        assert_eq!(error, ENOMEM);
        assert_eq!((calls.load(Relaxed), drops.load(Relaxed)), (0, 0));
        assert_eq!(domain.stats().submitted, 0);

        // It is as good as new.
        domain.schedule(GFP_KERNEL, func)?;
        domain.synchronize(..)?;
        assert_eq!((calls.load(Relaxed), drops.load(Relaxed)), (1, 1));

        let ret = kunit::without_memory(|| domain.begin(GFP_NOWAIT));
        assert!(matches!(ret, Err(e) if e == ENOMEM));
        domain.synchronize(..)
    }

    #[test]
    fn past_the_limit_submission_fails() -> Result {
        let (calls, drops) = (counter()?, counter()?);
        let domain = domain()?;

        domain.set_limit(2);
        let token = domain.begin(GFP_KERNEL)?;
        let gate = Gate::new()?;
        let g = gate.clone();
        let cookie = domain.schedule(GFP_KERNEL, move |_| g.wait())?;

        let Err(SubmitError { error, task: func }) =
            domain.schedule(GFP_KERNEL, counting(&calls, &drops))
        else {
            return Err(EINVAL);
        };
        assert_eq!(error, EAGAIN);
        assert!(matches!(domain.begin(GFP_KERNEL), Err(e) if e == EAGAIN));
        assert_eq!(drops.load(Relaxed), 0);

        token.finish();
        domain.schedule(GFP_KERNEL, func)?;
        gate.open();
        domain.synchronize(..=cookie)?;
        domain.synchronize(..)?;
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

        let cookie = domain.schedule_or_run(GFP_KERNEL, report(ran_by.clone()))?;
        domain.synchronize(..=cookie)?;
        assert!(ran_by.load(Relaxed) != 0 && ran_by.load(Relaxed) != pid());

        let func = report(ran_by.clone());
        let inline = kunit::without_memory(|| domain.schedule_or_run(GFP_NOWAIT, func))?;
        assert_eq!(ran_by.load(Relaxed), pid());
        assert!(inline > cookie);

        // It has its place in the order, and can say when it would wait for its own caller.
        domain.set_limit(0);
        let (d, results) = (domain.clone(), counter()?);
        let r = results.clone();
        domain.schedule_or_run(GFP_KERNEL, move |outer| {
            let lowest = d.lowest_in_progress() == Some(outer.cookie());
            let d2 = d.clone();
            let r2 = r.clone();
            let nested = d.schedule_or_run(GFP_KERNEL, move |inner| {
                if inner.synchronize() == Err(EDEADLK) && d2.synchronize(..) == Err(EDEADLK) {
                    r2.add(1, Relaxed);
                }
            });
            if lowest && nested.is_ok() && outer.synchronize().is_ok() {
                r.add(10, Relaxed);
            }
        })?;
        assert_eq!(results.load(Relaxed), 11);

        domain.close();
        let (calls, drops) = (counter()?, counter()?);
        let ret = domain.schedule_or_run(GFP_KERNEL, counting(&calls, &drops));
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
        let ret = kunit::without_memory(|| domain.schedule_or_run(GFP_NOWAIT, func));
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
                ffi::with_spin_locks(|| d.schedule_or_run(GFP_NOWAIT, func).map_err(Error::from));

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

        let cookie = kunit::with_interrupts_off(|| domain.schedule(GFP_ATOMIC, func))?;
        let token = kunit::with_interrupts_off(|| domain.begin(GFP_ATOMIC))?;
        assert!(token.cookie() > cookie);
        kunit::with_hard_interrupts_off(|| token.finish());
        domain.synchronize(..)?;
        assert_eq!(calls.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn tasks_may_submit_tasks() -> Result {
        let domain = domain()?;
        let calls = counter()?;

        fn chain(domain: Arc<OwnedDomain>, calls: Arc<Atomic<i32>>, left: u32) {
            let d = domain.clone();
            let _ = domain.schedule(GFP_KERNEL, move |_| {
                calls.add(1, Relaxed);
                if left > 1 {
                    chain(d, calls, left - 1);
                }
            });
        }
        chain(domain.clone(), calls.clone(), 100);
        domain.synchronize(..)?;
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
        let cookie = domain.schedule(GFP_KERNEL, move |_| g.wait())?;
        let token = domain.begin(GFP_KERNEL)?;
        // The domain, once for both.
        assert_eq!(refs(), before + 1);

        token.finish();
        assert_eq!(refs(), before + 1);
        gate.open();
        domain.synchronize(..=cookie)?;
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
        domain.schedule(GFP_KERNEL, move |_| {
            f.wait();
            // The last reference.
            drop(own);
            d.open();
            s.wait();
        })?;
        drop(domain);
        first.open();
        dropped.wait();
        assert_eq!(refs(), before + 1);
        second.open();
        assert!(kunit::eventually(|| refs() == before));
        Ok(())
    }
}
