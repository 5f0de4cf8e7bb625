// SPDX-License-Identifier: GPL-2.0

//! Results: handles that give a task's value, and errors that are never lost.

use super::{
    closure::{
        self,
        Body, //
    },
    error::SubmitError,
    target::Destination, //
};
use crate::{
    domain::{
        core::{
            context::TaskContext,
            cookie::Cookie,
            domain::AsyncDomain,
            header::{
                Ops,
                Task, //
            },
            module_refs::{
                Caller,
                ModuleRefs, //
            },
            poller::Poller, //
        },
        run::cancel::Cancelled, //
    },
    errno::{
        ECANCELED,
        ENODATA, //
    },
    ffi,
    lock_class,
    wait::{
        AnyWakeup,
        Locked,
        WaitMode,
        WaitQueue,
        Waiting, //
    }, //
};
use core::{
    future::Future,
    ptr::NonNull,
    task::{
        self,
        ready,
        Poll, //
    }, //
};
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::Arc, //
};

/// A task that gives a value; see [`Submit::schedule_with_handle`](crate::Submit::schedule_with_handle).
///
/// It can be [asked](Self::is_finished), [waited](Self::join) for, [awaited](Self::join_async) and [cancelled](Self::cancel);
/// dropping it neither cancels the task nor leaks its value.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, Cancelled, Handle, Submit, WaitMode};
/// use kernel::time::Delta;
///
/// let domain = new_async_domain!("sums", GFP_KERNEL)?;
/// let mut sum: Handle<u32> = domain.schedule_with_handle(GFP_KERNEL, |_| (1..=100).sum())?;
/// pr_info!("task {}\n", sum.cookie());
///
/// let mode = WaitMode::KILLABLE.timeout(Delta::from_millis(10_000));
/// assert_eq!(sum.join_with(mode)?, 5050);
/// assert!(sum.is_finished());
/// assert_eq!(sum.cancel(), Cancelled::NotFound);
/// # Ok::<(), Error>(())
/// ```
pub struct Handle<T> {
    cell: Arc<Cell<T>>,
    cookie: Cookie,
    /// Where the task is. The domain may be gone, unless the task is unfinished.
    domain: *const AsyncDomain,
}

// SAFETY: The domain is only looked for; the value may be sent to other threads.
// Tested by: compile-fail handle_value_not_send.
unsafe impl<T: Send> Send for Handle<T> {}
// SAFETY: A shared handle gives no value.
// Tested by: compile-fail handle_value_not_send.
unsafe impl<T: Send> Sync for Handle<T> {}

/// Where a task's value goes. The task and its handle have a reference each.
type Cell<T> = WaitQueue<Outcome<T>, AnyWakeup>;

struct Outcome<T> {
    stage: Stage,
    /// What the task has returned, until it is taken. Not dropped with the cell, but by a handle or by the task.
    value: Option<T>,
}

impl<T> Outcome<T> {
    /// What the handle waits with.
    fn unless_done(outcome: &mut Locked<'_, Self, AnyWakeup>) -> Result<Option<AnyWakeup>> {
        Ok((outcome.stage == Stage::Pending).then_some(AnyWakeup))
    }

    /// Takes the value of a task that is done.
    fn take(&mut self) -> Result<T> {
        match (self.stage, self.value.take()) {
            (Stage::Done, Some(value)) => {
                self.stage = Stage::Taken;
                Ok(value)
            }
            (Stage::Done, None) => Err(ECANCELED),
            // Pending is not seen after the wait, and this is the only handle.
            _ => Err(ENODATA),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The task is not done. There may be a value already.
    Pending,
    /// The task is done. If there is no value, it was cancelled.
    Done,
    /// The value was taken.
    Taken,
    /// There is no handle any more.
    Unwanted,
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        let value = self.cell.with(|outcome| {
            outcome.stage = Stage::Unwanted;
            outcome.value.take()
        });
        // Without the lock.
        drop(value);
    }
}

impl<T: Send> Handle<T> {
    /// The cookie of the task.
    pub fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// Waits for the task's value and takes it. A task that waits for its own handle waits for ever.
    ///
    /// # Errors
    ///
    /// `ECANCELED`: the task was cancelled, and there will be no value.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    pub fn join(mut self) -> Result<T> {
        self.join_with(WaitMode::UNINTERRUPTIBLE)
    }

    /// Like [`Self::join`], with a wait that a signal or a time limit may end. The handle can then
    /// be used again.
    ///
    /// # Errors
    ///
    /// - `ECANCELED`: the task was cancelled.
    /// - `ENODATA`: the value has been taken already.
    /// - `ERESTARTSYS`: a signal came that `mode` allows for.
    /// - `ETIMEDOUT`: the time that `mode` allows for is over.
    pub fn join_with(&mut self, mode: impl Into<WaitMode>) -> Result<T> {
        self.cell.wait(mode.into(), Outcome::unless_done)?;
        self.cell.with(|outcome| outcome.take())
    }

    /// Waits for the task's value, as a future, and takes it: what [`Self::join_with`] does with a thread.
    ///
    /// While the future waits, the module that polls it cannot be unloaded. Dropped before it is ready, it leaves the
    /// value to the handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Submit};
    ///
    /// let domain = new_async_domain!("sizes", GFP_KERNEL)?;
    /// let mut size = domain.schedule_with_handle(GFP_KERNEL, |_| 4096)?;
    ///
    /// domain.spawn(GFP_KERNEL, async move {
    ///     // No thread sleeps here.
    ///     if let Ok(size) = size.join_async(GFP_KERNEL).await {
    ///         pr_info!("{size} blocks\n");
    ///     }
    /// })?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The future gives
    ///
    /// - `ECANCELED`: the task was cancelled.
    /// - `ENODATA`: the value has been taken already.
    /// - `ESHUTDOWN`: it would have to wait, and the module that polls it is being unloaded.
    /// - `EBUSY`: it waits for another module, which has polled it before.
    /// - `ENOMEM`: it would have to wait, and there is no memory for its wait entry.
    ///
    /// # Context
    ///
    /// As for [`AsyncDomain::synchronize_async`].
    pub fn join_async(&mut self, flags: Flags) -> JoinAsync<'_, T> {
        JoinAsync {
            cell: &self.cell,
            flags,
            waiting: Waiting::new(&self.cell),
            poller: Poller::none(),
        }
    }

    /// Whether the task is done: it has run or was cancelled, and [`Self::join`] would not wait.
    ///
    /// # Context
    ///
    /// Any.
    pub fn is_finished(&self) -> bool {
        self.cell.with(|outcome| outcome.stage != Stage::Pending)
    }

    /// Cancels the task; see [`AsyncDomain::cancel`]. If that says [`Cancelled::Dropped`], then there will be no value;
    /// a task that was asked to stop still gives one.
    ///
    /// # Context
    ///
    /// Any in which the task's closure can be dropped.
    // Tested by: kunit a_handle_cancels_its_task.
    pub fn cancel(&self) -> Cancelled {
        AsyncDomain::cancel_at(self.domain, self.cookie)
    }
}

/// A future that takes a task's value; see [`Handle::join_async`].
///
/// # Examples
///
/// ```
/// use async_domain::{domain::JoinAsync, new_async_domain, Submit};
///
/// async fn larger(a: JoinAsync<'_, u64>, b: JoinAsync<'_, u64>) -> Result<u64> {
///     Ok(a.await?.max(b.await?))
/// }
///
/// let domain = new_async_domain!("sizes", GFP_KERNEL)?;
/// let mut a = domain.schedule_with_handle(GFP_KERNEL, |_| 4096)?;
/// let mut b = domain.schedule_with_handle(GFP_KERNEL, |_| 512)?;
///
/// domain.spawn(GFP_KERNEL, async move {
///     if let Ok(size) = larger(a.join_async(GFP_KERNEL), b.join_async(GFP_KERNEL)).await {
///         pr_info!("{size}\n");
///     }
/// })?;
/// # Ok::<(), Error>(())
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct JoinAsync<'a, T> {
    cell: &'a Cell<T>,
    flags: Flags,
    // Before the references on modules, which are dropped last.
    waiting: Waiting<'a, Outcome<T>, AnyWakeup>,
    poller: Poller,
}

impl<T> JoinAsync<'_, T> {
    /// Polls for a module.
    fn poll_for(&mut self, module: Caller, cx: &mut task::Context<'_>) -> Poll<Result<T>> {
        let cell = self.cell;

        let waits = self.poller.is(module, || {
            if cell.with(|outcome| outcome.stage != Stage::Pending) {
                return Ok(None);
            }
            ModuleRefs::of(module).map(Some)
        })?;
        if waits {
            ready!(self.waiting.poll(cx, self.flags, Outcome::unless_done))?;
        }
        Poll::Ready(cell.with(|outcome| outcome.take()))
    }
}

impl<T> Future for JoinAsync<'_, T> {
    type Output = Result<T>;

    // Inlined into the module that polls.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<T>> {
        self.get_mut().poll_for(Caller::here(), cx)
    }
}

/// A closure that gives a value, and the cell that the value goes to.
struct Valued<F, T> {
    func: F,
    cell: Arc<Cell<T>>,
}

impl<F, T> Valued<F, T>
where
    F: FnOnce(&TaskContext<'_>) -> T + Send,
    T: Send,
{
    /// Runs the closure, and leaves its value in the cell; or drops it, if there is no handle any more.
    ///
    /// # Safety
    ///
    /// `task` must have such a body, whose closure is there; it is gone afterwards.
    // Tested by: mutant closure-leaked-on-cancel, kunit shuffled_tasks_retire_in_order.
    unsafe fn run(task: NonNull<Task>, context: &TaskContext<'_>) {
        // SAFETY: By the caller's promise. The cell stays until the task is settled.
        let (func, cell) = unsafe {
            let body = closure::body::<Self>(task);
            ((&raw const (*body).func).read(), &(*body).cell)
        };
        let value = func(context);

        let unwanted = cell.with(|outcome| {
            if outcome.stage == Stage::Unwanted {
                return Some(value);
            }
            outcome.value = Some(value);
            None
        });
        // Without the lock.
        drop(unwanted);
    }

    /// # Safety
    ///
    /// As above.
    // Tested by: mutant cancelled-not-dropped, mutant closure-leaked-on-cancel.
    unsafe fn discard(task: NonNull<Task>) {
        // SAFETY: By the caller's promise.
        unsafe { (&raw mut (*closure::body::<Self>(task)).func).drop_in_place() };
    }

    /// Tells the handle that the task is done. Nothing of the submitter's is dropped here: the cell has a value only
    /// as long as it has a handle.
    ///
    /// # Safety
    ///
    /// `task` must have such a body, whose closure is gone; all of it is afterwards.
    // Tested by: model done-value.
    unsafe fn settle(task: NonNull<Task>) {
        // SAFETY: By the caller's promise.
        let cell = unsafe { (&raw const (*closure::body::<Self>(task)).cell).read() };

        cell.with(|outcome| {
            if outcome.stage == Stage::Pending {
                outcome.stage = Stage::Done;
                outcome.wake(&mut ());
            }
        });
    }
}

// SAFETY: `run` or `discard` takes the closure, whichever is called, and `settle` then takes the cell.
// Tested by: model done-value.
unsafe impl<F, T> Body for Valued<F, T>
where
    F: FnOnce(&TaskContext<'_>) -> T + Send,
    T: Send,
{
    const OPS: Ops = Ops {
        run: Self::run,
        retire: None,
        discard: Self::discard,
        settle: Some(Self::settle),
        callers_memory: false,
        module: ffi::this_module(),
    };
}

/// Submits a closure, and gives a handle on its value; see
/// [`Submit::schedule_with_handle`](crate::Submit::schedule_with_handle).
///
/// # Safety
///
/// What the closure and its value borrow must be usable until a task that goes there is finished.
#[inline]
// Tested by: kunit values_of_dropped_handles_are_dropped, compile-fail handle_value_borrows.
pub(crate) unsafe fn submit<F, T>(
    to: Destination<'_>,
    flags: Flags,
    func: F,
) -> Result<Handle<T>, SubmitError<F>>
where
    F: FnOnce(&TaskContext<'_>) -> T + Send,
    T: Send,
{
    let Ok(cell) = Arc::pin_init(
        WaitQueue::new(
            Outcome {
                stage: Stage::Pending,
                value: None,
            },
            lock_class::HANDLE.name(),
            lock_class::HANDLE.key(),
        ),
        flags,
    ) else {
        return Err(SubmitError {
            error: ENOMEM,
            task: func,
        });
    };
    let body = Valued {
        func,
        cell: cell.clone(),
    };

    // SAFETY: The caller answers for what the closure borrows.
    match unsafe { closure::submit(to, flags, body) } {
        Ok(cookie) => Ok(Handle {
            cell,
            cookie,
            domain: to.domain,
        }),
        Err(error) => Err(error.map(|body| body.func)),
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_handle)]
mod tests {
    use super::*;
    use crate::errno::{
        EDEADLK,
        ESHUTDOWN, //
    };
    use crate::kunit::{
        self,
        domain,
        Gate, //
    };
    use crate::{
        Cancelled,
        Submit, //
    };
    use core::{
        future::poll_fn,
        pin::pin, //
    };
    use kernel::{
        sync::atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        time::Delta,
        types::ScopeGuard, //
    };

    #[test]
    fn a_handle_gives_the_value_once() -> Result {
        let domain = domain()?;
        let gate = Gate::new()?;
        let g = gate.clone();
        let mut handle = domain.schedule_with_handle(GFP_KERNEL, move |context| {
            g.wait();
            context.cookie()
        })?;
        let mode = WaitMode::KILLABLE.timeout(Delta::from_millis(20));

        assert_eq!(handle.join_with(mode), Err(ETIMEDOUT));
        gate.open();
        assert_eq!(
            handle.join_with(WaitMode::UNINTERRUPTIBLE),
            Ok(handle.cookie())
        );
        assert_eq!(handle.join_with(mode), Err(ENODATA));
        Ok(())
    }

    #[test]
    fn a_handle_outlives_its_domain() -> Result {
        let domain = domain()?;
        let handle = domain.schedule_with_handle(GFP_KERNEL, |_| 42)?;

        drop(domain);
        assert_eq!(handle.join(), Ok(42));
        Ok(())
    }

    #[test]
    fn values_of_dropped_handles_are_dropped() -> Result {
        let domain = domain()?;
        let drops = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;

        for early in [true, false] {
            let (gate, d) = (Gate::new()?, drops.clone());
            let g = gate.clone();
            let handle = domain.schedule_with_handle(GFP_KERNEL, move |_| {
                g.wait();
                ScopeGuard::new(move || d.add(1, Relaxed))
            })?;
            if early {
                drop(handle);
                gate.open();
                domain.synchronize(..)?;
                // By the task, before it was done.
                assert_eq!(drops.load(Relaxed), 1);
            } else {
                gate.open();
                domain.synchronize(..)?;
                drop(handle);
            }
        }
        assert_eq!(drops.load(Relaxed), 2);
        Ok(())
    }

    #[test]
    fn a_cancelled_task_has_no_value() -> Result {
        let domain = domain()?;
        let ret = kunit::with_full_queue(|| {
            let handle = domain.schedule_with_handle(GFP_KERNEL, |_| 1)?;
            assert_eq!(domain.cancel(handle.cookie()), Cancelled::Dropped);
            Ok(handle)
        })?;
        let mut handle = ret;
        // As often as it is asked.
        for _ in 0..2 {
            let ret = handle.join_with(WaitMode::UNINTERRUPTIBLE);
            assert_eq!(ret, Err(ECANCELED));
        }
        Ok(())
    }

    #[test]
    fn a_handle_cancels_its_task() -> Result {
        let domain = domain()?;
        let mut handle = kunit::with_full_queue(|| {
            let d = domain.clone();
            let handle = domain.schedule_with_handle(GFP_KERNEL, move |_| drop(d))?;

            // The closure is the last owner of the domain, which is dropped with it.
            drop(domain);
            assert!(!handle.is_finished());
            assert_eq!(handle.cancel(), Cancelled::Dropped);
            assert!(handle.is_finished());
            Ok(handle)
        })?;
        assert_eq!(handle.cancel(), Cancelled::NotFound);
        let ret = handle.join_with(WaitMode::UNINTERRUPTIBLE);
        assert_eq!(ret, Err(ECANCELED));

        let (domain, begun) = (crate::kunit::domain()?, Gate::new()?);
        let b = begun.clone();
        let handle = domain.schedule_with_handle(GFP_KERNEL, move |context| {
            b.open();
            kunit::eventually(|| context.should_stop())
        })?;
        begun.wait();
        assert_eq!(handle.cancel(), Cancelled::AskedToStop);
        assert_eq!(handle.join(), Ok(true));
        Ok(())
    }

    #[test]
    fn a_handle_can_be_awaited() -> Result {
        let (domain, gate) = (domain()?, Gate::new()?);
        let g = gate.clone();
        let mut first = domain.schedule_with_handle(GFP_KERNEL, move |_| {
            g.wait();
            20
        })?;
        let mut second = domain.schedule_with_handle(GFP_KERNEL, |_| 22)?;
        let sum = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;
        let s = sum.clone();
        domain.spawn(GFP_KERNEL, async move {
            // Polled once, and dropped, it leaves the value.
            let early = {
                let mut once = pin!(first.join_async(GFP_KERNEL));
                poll_fn(|cx| Poll::Ready(once.as_mut().poll(cx).is_ready())).await
            };
            assert!(!early);
            gate.open();

            let both = (
                first.join_async(GFP_KERNEL).await,
                second.join_async(GFP_KERNEL).await,
            );
            let again = first.join_async(GFP_KERNEL).await;
            if let ((Ok(a), Ok(b)), Err(ENODATA)) = (both, again) {
                s.store(a + b, Relaxed);
            }
        })?;
        domain.synchronize(..)?;
        assert_eq!(sum.load(Relaxed), 42);
        Ok(())
    }

    #[test]
    fn who_awaits_a_handle_is_held() -> Result {
        let (domain, gate) = (domain()?, Gate::new()?);
        let g = gate.clone();
        let mut handle = domain.schedule_with_handle(GFP_KERNEL, move |_| g.wait())?;
        // SAFETY: It is this module.
        let refs = || unsafe { ffi::module_refcount(ffi::this_module()) };
        let before = refs();
        let mut cx = task::Context::from_waker(task::Waker::noop());

        let mut future = handle.join_async(GFP_KERNEL);
        assert!(future.poll_for(Caller::here(), &mut cx).is_pending());
        assert_eq!(refs(), before + 1);
        // No other module may poll it, as if it were the kernel.
        let other = future.poll_for(Caller::KERNEL, &mut cx);
        assert_eq!(other, Poll::Ready(Err(EBUSY)));
        drop(future);
        assert_eq!(refs(), before);
        gate.open();
        assert_eq!(handle.join(), Ok(()));
        Ok(())
    }

    #[test]
    fn a_task_whose_value_is_there_is_done() -> Result {
        let domain = domain()?;

        domain.set_limit(1);
        for i in 0..2000 {
            // There is room for the next one as soon as this has ended.
            let mut handle = domain.schedule_with_handle(GFP_KERNEL, move |_| i)?;
            if i % 2 == 0 {
                assert_eq!(handle.join(), Ok(i));
            } else {
                domain.synchronize(..)?;
                // It does not wait: the value is there.
                let mode = WaitMode::UNINTERRUPTIBLE.timeout(Delta::ZERO);
                assert_eq!(handle.join_with(mode), Ok(i));
            }
            assert_eq!(domain.lowest_in_progress(), None);
        }
        Ok(())
    }

    #[test]
    fn an_error_is_kept_for_those_who_can_wait() -> Result {
        let domain = domain()?;
        let d = domain.clone();

        domain.schedule(GFP_KERNEL, move |context| {
            context.report(EIO);
            // It would wait for itself.
            if d.synchronize_result() != Err(EDEADLK) {
                let _ = d.take_error();
            }
        })?;
        assert_eq!(domain.synchronize_result(), Err(EIO));
        Ok(())
    }

    #[test]
    fn out_of_memory_gives_the_closure_back() -> Result {
        if kunit::lacks_failslab() {
            return Ok(());
        }
        let domain = domain()?;
        let func = |_: &TaskContext<'_>| 7;

        let ret = kunit::without_memory(|| domain.schedule_with_handle(GFP_NOWAIT, func));
        let Err(SubmitError { error, task }) = ret else {
            return Err(EINVAL);
        };
        assert_eq!(error, ENOMEM);
        domain.close();
        let ret = domain.schedule_with_handle(GFP_KERNEL, task);
        assert!(matches!(ret, Err(e) if e.error == ESHUTDOWN));
        Ok(())
    }

    #[test]
    fn an_error_that_comes_while_the_domain_is_dropped_is_logged() -> Result {
        let domain = domain()?;
        let gate = Gate::new()?;
        let (g, before) = (gate.clone(), kunit::UNSEEN_ERRORS.load(Relaxed));

        domain.schedule(GFP_KERNEL, move |_| {
            g.wait();
            Err(EIO)
        })?;
        let dropper = kunit::Thread::spawn(move || drop(domain))?;
        assert!(dropper.falls_asleep());
        gate.open();
        dropper.join();
        assert_eq!(kunit::UNSEEN_ERRORS.load(Relaxed), before + 1);
        Ok(())
    }

    #[test]
    fn the_first_error_in_cookie_order_is_kept() -> Result {
        let domain = domain()?;
        let (gate, ran) = (Gate::new()?, Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?);

        // The one with the lowest cookie fails last.
        for error in [None, Some(EIO), Some(ENXIO), None] {
            let (g, r) = (gate.clone(), ran.clone());
            domain.schedule(GFP_KERNEL, move |_| {
                if error == Some(EIO) {
                    g.wait();
                }
                r.add(1, Relaxed);
                error.map_or(Ok(()), Err)
            })?;
        }
        assert!(kunit::eventually(|| ran.load(Relaxed) == 3));
        gate.open();
        domain.synchronize(..)?;
        // One that comes, and fails, after all others.
        domain.schedule(GFP_KERNEL, |_| Err(EINVAL))?;
        assert_eq!(domain.synchronize_result(), Err(EIO));
        assert_eq!(ran.load(Relaxed), 4);
        assert_eq!(domain.synchronize_result(), Ok(()));
        Ok(())
    }
}
