// SPDX-License-Identifier: GPL-2.0

//! Submitting and finishing.

use super::{
    advance,
    modules::ModuleRefs,
    pending::Node,
    registry,
    running::Run,
    task::{
        ClosureTask,
        Task, //
    },
    AsyncDomain,
    Context,
    Cookie,
    SubmitError,
    Token, //
};
use crate::ffi;
use core::ptr::NonNull;
use kernel::{
    alloc::Flags,
    prelude::*, //
};

impl AsyncDomain {
    /// Runs a function asynchronously (C's `async_schedule_domain()`); returns its cookie.
    ///
    /// The function runs once, in process context, on the module's workqueue. It learns its own
    /// cookie and can wait for all earlier tasks through its [`Context`]. It never runs in the
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
    #[inline(always)]
    pub fn schedule<F>(&self, func: F, flags: Flags) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&Context<'_>) + Send + 'static,
    {
        self.schedule_from(func, flags, ffi::this_module())
    }

    /// See [`Self::schedule`]; `submitter` is the module whose code `F` is.
    #[doc(hidden)]
    #[inline]
    fn schedule_from<F>(
        &self,
        func: F,
        flags: Flags,
        submitter: *mut ffi::module,
    ) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&Context<'_>) + Send + 'static,
    {
        let task = ClosureTask::alloc(func, flags).map_err(|func| SubmitError {
            error: ENOMEM,
            func,
        })?;

        // SAFETY: The task has just been made, and is given away only if this succeeds.
        unsafe { self.submit(task, submitter) }.map_err(|error| SubmitError {
            error,
            // SAFETY: The task comes from above, with this type of closure, and was not queued.
            func: unsafe { ClosureTask::into_func(task) },
        })
    }

    /// Like [`Self::schedule`], but where the task cannot be queued for want of memory or because of
    /// the limit, the function runs at once, in the caller's context. This is what
    /// `async_schedule_domain()` does without being asked.
    ///
    /// A function that runs in the caller's context has its cookie and its place in the order like
    /// any other, so that others wait for it. Beware that it can only wait for earlier tasks as long
    /// as none of them waits for the caller.
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
    #[inline(always)]
    pub fn schedule_or_run<F>(&self, func: F, flags: Flags) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&Context<'_>) + Send + 'static,
    {
        match self.schedule_from(func, flags, ffi::this_module()) {
            Err(SubmitError { error, func }) if error == ENOMEM || error == EAGAIN => {
                let mut func = Some(func);
                let cookie = self.run_here(error, &mut |context| {
                    if let Some(func) = func.take() {
                        func(context);
                    }
                });

                cookie.map_err(|error| SubmitError {
                    error,
                    // PANIC: If it was not run, then it was not taken either.
                    func: func.unwrap(),
                })
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
    pub fn begin(&self, flags: Flags) -> Result<Token> {
        // SAFETY: The calling module is valid, since its code is running.
        unsafe { Token::begin(self, flags, ffi::this_module()) }
    }

    /// Links a task in and queues it.
    ///
    /// # Safety
    ///
    /// `task` must come from [`ClosureTask::alloc`] and not have been submitted; if this succeeds, it
    /// belongs to the workqueue. `submitter` must be null or a valid module: the one whose code the
    /// task runs.
    unsafe fn submit(&self, task: NonNull<Task>, submitter: *mut ffi::module) -> Result<Cookie> {
        // SAFETY: Both are modules, by the caller's promise and by the type invariant.
        let modules = unsafe { ModuleRefs::get(submitter, self.owner()) }?;

        // SAFETY: The task is ours until it is queued. Its node stays where it is until `Task::run`
        // has removed it. It is queued with the lock held, so that the tasks of a domain are queued
        // in cookie order: see `queue.rs`, Concurrency, for what depends on it.
        unsafe {
            (*task.as_ptr()).domain = self;
            (*task.as_ptr()).modules = modules;
            self.link(&raw mut (*task.as_ptr()).node, || Task::enqueue(task))
        }
        .inspect_err(|_| {
            // SAFETY: The task is still ours.
            unsafe { (*task.as_ptr()).modules = ModuleRefs::none() }
        })
    }

    /// Appends a node to the order, if the domain takes one more, and calls `then` with the lock
    /// held; returns the node's cookie.
    ///
    /// # Safety
    ///
    /// `node` must be valid, linked nowhere, and stay in place until it has been removed.
    #[inline]
    pub(super) unsafe fn link(&self, node: *mut Node, then: impl FnOnce()) -> Result<Cookie> {
        registry::enter(self);
        self.queue.with(|state| {
            if state.closed {
                return Err(ESHUTDOWN);
            }
            if state.unfinished >= state.limit {
                return Err(EAGAIN);
            }

            let cookie = Cookie::take();
            state.unfinished += 1;
            state.submitted += 1;
            // SAFETY: The caller promises that the node is valid and stays. Its cookie was taken
            // under the lock, after all others in the list.
            unsafe { state.pending.push(node, cookie) };
            then();
            Ok(cookie)
        })
    }

    /// Takes a node out of the order; wakes those who waited for it.
    ///
    /// May be called in any context. The domain may be gone when this returns.
    ///
    /// # Safety
    ///
    /// `node` must be in this domain's order.
    #[inline]
    pub(super) unsafe fn finish(&self, node: *mut Node) {
        self.queue.with(|state| {
            state.unfinished -= 1;
            // SAFETY: The caller promises that the node is in the list.
            if unsafe { state.pending.remove(node) } {
                advance(state);
            }
        });
    }

    /// Runs a function in the caller's context, with a cookie of its own; fails with `error` in an
    /// interrupt.
    fn run_here(&self, error: Error, func: &mut dyn FnMut(&Context<'_>)) -> Result<Cookie> {
        // SAFETY: It may always be called.
        if !unsafe { ffi::in_task() } {
            return Err(error);
        }

        let mut node = Node::new();
        let node = &raw mut node;

        registry::enter(self);
        let cookie = self.queue.with(|state| {
            if state.closed {
                return Err(ESHUTDOWN);
            }
            let cookie = Cookie::take();
            state.unfinished += 1;
            state.submitted += 1;
            // SAFETY: The node is on our stack, where it stays until it is removed below.
            unsafe { state.pending.push(node, cookie) };
            Ok(cookie)
        })?;

        // SAFETY: The node is in the order of this domain, which we borrow. We are in process
        // context, and may be inside another task.
        let mut run = || unsafe { Run::enter(self, node, true, |run| func(&Context::new(run))) };
        let attached = if Run::is_inside(self, cookie) {
            // Lockdep knows of this domain already.
            run()
        } else {
            // SAFETY: The domain is valid, since we borrow it.
            unsafe { AsyncDomain::lockdep_task(self, run) }
        };
        if attached {
            // SAFETY: The node is in the order of this domain.
            unsafe { self.finish(node) };
        }
        Ok(cookie)
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_submit)]
mod tests {
    use super::*;
    use crate::kunit::{
        self,
        Gate, //
    };
    use kernel::{
        sync::{
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc, //
        },
        types::ScopeGuard,
    };

    fn domain() -> Result<Arc<AsyncDomain>> {
        Arc::pin_init(crate::new_async_domain!("kunit"), GFP_KERNEL)
    }

    /// A closure that counts its calls and its drops.
    fn counting(
        calls: &Arc<Atomic<i32>>,
        drops: &Arc<Atomic<i32>>,
    ) -> impl FnOnce(&Context<'_>) + Send + 'static {
        let (calls, drops) = (calls.clone(), drops.clone());
        let guard = ScopeGuard::new(move || drops.add(1, Relaxed));

        move |_: &Context<'_>| {
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
        let (calls, drops) = (counter()?, counter()?);
        let domain = domain()?;
        let func = counting(&calls, &drops);

        let ret = kunit::without_memory(|| domain.schedule(func, GFP_NOWAIT));
        let Err(SubmitError { error, func }) = ret else {
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

        let Err(SubmitError { error, func }) =
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
        let domain = domain()?;
        let ran_by = counter()?;
        // SAFETY: The current task is valid.
        let pid = || unsafe { (*ffi::get_current()).pid };
        let report = |r: Arc<Atomic<i32>>| move |_: &Context<'_>| r.store(pid(), Relaxed);

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
    fn submission_with_interrupts_off() -> Result {
        let (calls, drops) = (counter()?, counter()?);
        let domain = domain()?;
        let func = counting(&calls, &drops);

        let cookie = kunit::with_interrupts_off(|| domain.schedule(func, GFP_ATOMIC))?;
        let token = kunit::with_interrupts_off(|| domain.begin(GFP_ATOMIC))?;
        assert!(token.cookie() > cookie);
        kunit::with_interrupts_off(|| token.finish());
        domain.synchronize_full()?;
        assert_eq!(calls.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn tasks_may_submit_tasks() -> Result {
        let domain = domain()?;
        let calls = counter()?;

        fn chain(domain: Arc<AsyncDomain>, calls: Arc<Atomic<i32>>, left: u32) {
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
        assert_eq!(refs(), before + 2);

        token.finish();
        assert_eq!(refs(), before + 1);
        gate.open();
        domain.synchronize_cookie(cookie.next())?;
        assert!(kunit::eventually(|| refs() == before));
        Ok(())
    }
}
