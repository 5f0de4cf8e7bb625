// SPDX-License-Identifier: GPL-2.0

//! Waiting for a cookie as a future: no thread sleeps.

use crate::{
    domain::core::{
        cookie::{
            AllBelow,
            Cookie,
            CookieRange, //
        },
        domain::{
            AsyncDomain,
            State, //
        },
        module_refs::{
            Caller,
            ModuleRefs, //
        },
        poller::Poller,
        running::RunningTask, //
    },
    errno::EDEADLK,
    wait::{
        AtLeast,
        Waiting, //
    },
};
use core::{
    future::Future,
    task::{
        self,
        Poll, //
    }, //
};
use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// A future that is ready when tasks of a domain are done; see [`AsyncDomain::synchronize_async`].
///
/// Its entry stands in the domain's own queue, among those of the threads that wait, and is judged as
/// they are: it is called when its condition is true, once, and never in vain.
///
/// It may be moved, dropped, polled with another [`Waker`](task::Waker) by the same module, or sent to
/// another thread at any moment. If it is leaked while it waits, then its entry stays, which has an
/// allocation of its own, and so do the modules that it needs.
///
/// # Examples
///
/// ```
/// use async_domain::{domain::SynchronizeAsync, new_async_domain, Cookie, Submit};
/// use kernel::sync::Arc;
///
/// async fn both(first: SynchronizeAsync<'_>, second: SynchronizeAsync<'_>) -> Result {
///     first.await?;
///     second.await
/// }
///
/// let disks = Arc::new(new_async_domain!("disks", GFP_KERNEL)?, GFP_KERNEL)?;
/// let domain = disks.clone();
/// disks.spawn(GFP_KERNEL, async move {
///     let now = Cookie::now();
///     // This very future is in progress: it would wait for itself.
///     let (first, second) = (domain.synchronize_async(GFP_KERNEL, ..now), domain.synchronize_async(GFP_KERNEL, ..now));
///     if both(first, second).await.is_err() {
///         pr_info!("not for itself\n");
///     }
/// })?;
/// # Ok::<(), Error>(())
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct SynchronizeAsync<'a> {
    domain: &'a AsyncDomain,
    /// The cookie below which all must be done; `None` for all that there are.
    cookie: Option<Cookie>,
    flags: Flags,
    // Before the references on modules, which are dropped last.
    waiting: Waiting<'a, State, AllBelow>,
    /// Holds the domain's owner, too.
    poller: Poller,
}

impl AsyncDomain {
    /// Waits, as a future, until tasks are done: what [`Self::synchronize`] does with a thread.
    ///
    /// While the future waits, the module that polls it cannot be unloaded, nor the one that owns
    /// the domain. It calls the [`Waker`](task::Waker) that it is polled with: if the code of that is in a
    /// third module, such as another's executor, then that one must see to it that its futures are dropped
    /// before it goes.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, Submit};
    /// use kernel::sync::Arc;
    ///
    /// let disks = Arc::new(new_async_domain!("disks", GFP_KERNEL)?, GFP_KERNEL)?;
    /// let array = new_async_domain!("array", GFP_KERNEL)?;
    /// let found = disks.schedule(GFP_KERNEL, |_| pr_info!("a disk\n"))?;
    ///
    /// let domain = disks.clone();
    /// array.spawn(GFP_KERNEL, async move {
    ///     // No thread sleeps here.
    ///     if domain.synchronize_async(GFP_KERNEL, ..=found).await.is_ok() {
    ///         pr_info!("the array\n");
    ///     }
    /// })?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The future gives
    ///
    /// - `EDEADLK`: it is first polled by a thread that is inside one of these tasks, such as a
    ///   spawned future that waits for itself.
    /// - `EINVAL`: the cookie is one from the future, above [`Cookie::now`].
    /// - `ESHUTDOWN`: it would have to wait, and one of the modules is being unloaded.
    /// - `EBUSY`: it waits for another module, which has polled it before.
    /// - `ENOMEM`: it would have to wait, and there is no memory for its wait entry.
    ///
    /// # Context
    ///
    /// The future may be polled in any context, with `flags` that fit that of the first poll. It calls
    /// the [`Waker`](task::Waker) by reference, under the domain's lock with interrupts off: a waker must
    /// only leave word, as that of [`Submit::spawn`](crate::Submit::spawn) does, which queues the future. It clones and drops it
    /// without the lock.
    pub fn synchronize_async(&self, flags: Flags, tasks: impl CookieRange) -> SynchronizeAsync<'_> {
        SynchronizeAsync {
            domain: self,
            cookie: tasks.end(),
            flags,
            waiting: Waiting::new(&self.queue),
            poller: Poller::none(),
        }
    }
}

impl SynchronizeAsync<'_> {
    /// Polls for a module.
    fn poll_for(&mut self, module: Caller, cx: &mut task::Context<'_>) -> Poll<Result> {
        let domain = self.domain;
        // Where the frontier has to be.
        let end = self.cookie.unwrap_or(Cookie::IDLE);

        let waits = self.poller.is(module, || {
            if self.cookie.is_some_and(|cookie| cookie > Cookie::now()) {
                return Err(EINVAL);
            }
            if domain.frontier() >= end {
                return Ok(None);
            }
            if RunningTask::is_inside(domain, end) {
                return Err(EDEADLK);
            }
            ModuleRefs::with_owner(module, domain).map(Some)
        });
        if waits != Ok(true) {
            return Poll::Ready(waits.map(drop));
        }
        self.waiting.poll(cx, self.flags, |state| {
            Ok((state.frontier() < end).then_some(AtLeast(end)))
        })
    }
}

impl Future for SynchronizeAsync<'_> {
    type Output = Result;

    // Inlined into the module that polls.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result> {
        self.get_mut().poll_for(Caller::here(), cx)
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_future)]
mod tests {
    use super::*;
    use crate::{
        ffi,
        kunit::{
            self,
            domain,
            eventually,
            relax,
            shuffled,
            Thread, //
        },
        Submit,
        Token, //
    };
    use core::{
        mem,
        ptr,
        task::{
            RawWaker,
            RawWakerVTable,
            Waker, //
        }, //
    };
    use kernel::sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    };

    /// How often a waker was called, how many clones of it there are, and how long a call takes.
    struct Calls {
        calls: Atomic<i32>,
        clones: Atomic<i32>,
        spins: Atomic<i32>,
    }

    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            // SAFETY: The data comes from an `Arc`, of which a waker has a share.
            let calls = unsafe { Arc::from_raw(data.cast::<Calls>()) };
            mem::forget(calls.clone());
            calls.clones.add(1, Relaxed);
            RawWaker::new(Arc::into_raw(calls).cast(), &VTABLE)
        },
        // SAFETY: As above.
        |data| drop(unsafe { Arc::from_raw(data.cast::<Calls>()) }),
        |data| {
            // SAFETY: As above.
            let calls = unsafe { &*data.cast::<Calls>() };
            calls.calls.add(1, Relaxed);
            (0..calls.spins.load(Relaxed)).for_each(|_| core::hint::spin_loop());
        },
        |data| {
            // SAFETY: As above.
            let calls = unsafe { Arc::from_raw(data.cast::<Calls>()) };
            calls.clones.add(-1, Relaxed);
        },
    );

    fn waker() -> Result<(Waker, Arc<Calls>)> {
        let calls = Arc::new(
            Calls {
                calls: Atomic::new(0),
                clones: Atomic::new(1),
                spins: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        let data = Arc::into_raw(calls.clone()).cast();

        // SAFETY: The functions keep the contract of wakers.
        Ok((unsafe { Waker::new(data, &VTABLE) }, calls))
    }

    fn poll(future: &mut SynchronizeAsync<'_>, waker: &Waker) -> Poll<Result> {
        Pin::new(future).poll(&mut task::Context::from_waker(waker))
    }

    const N: usize = 64;

    fn tokens(domain: &AsyncDomain, n: usize) -> Result<KVec<Option<Token>>> {
        let mut tokens = KVec::with_capacity(n, GFP_KERNEL)?;
        for _ in 0..n {
            tokens.push(Some(domain.begin(GFP_KERNEL)?), GFP_KERNEL)?;
        }
        Ok(tokens)
    }

    #[test]
    fn ready_at_once() -> Result {
        let (domain, (waker, calls)) = (domain()?, waker()?);
        let token = domain.begin(GFP_KERNEL)?;

        for (cookie, ret) in [
            (token.cookie(), Ok(())),
            (Cookie::now().next(), Err(EINVAL)),
        ] {
            let mut future = domain.synchronize_async(GFP_KERNEL, ..cookie);
            assert_eq!(poll(&mut future, &waker), Poll::Ready(ret));
        }
        assert_eq!(domain.stats().waits, 0);
        assert_eq!(calls.clones.load(Relaxed), 1);
        // One that is never polled does nothing.
        drop(domain.synchronize_async(GFP_KERNEL, ..=token.cookie()));
        Ok(())
    }

    #[test]
    fn futures_are_woken_exactly_when_it_is_their_turn() -> Result {
        let domain = domain()?;
        let mut tokens = tokens(&domain, N)?;
        let mut futures = KVec::with_capacity(N, GFP_KERNEL)?;

        for i in shuffled(N)? {
            let (waker, calls) = waker()?;
            let cookie = tokens[i].as_ref().ok_or(EINVAL)?.cookie();
            let mut future = domain.synchronize_async(GFP_KERNEL, ..=cookie);
            assert_eq!(poll(&mut future, &waker), Poll::Pending);
            assert_eq!(poll(&mut future, &waker), Poll::Pending);
            futures.push((i, future, waker, calls), GFP_KERNEL)?;
        }
        for finished in shuffled(N)? {
            tokens[finished] = None;
            let frontier = tokens.iter().position(Option::is_some).unwrap_or(N);

            for (i, future, waker, calls) in futures.iter_mut() {
                let done = *i < frontier;
                assert_eq!(calls.calls.load(Relaxed), i32::from(done));
                // What is ready stays so, and has given its waker back.
                let expected = if done {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
                assert_eq!(poll(future, waker), expected);
                assert_eq!(calls.clones.load(Relaxed), 1 + i32::from(!done));
            }
        }
        let stats = domain.stats();
        // CAST: A small number.
        assert_eq!((stats.waits, stats.wakeups), (N as u64, N as u64));
        assert!(stats.skipped < N as u64);
        Ok(())
    }

    #[test]
    fn dropping_pending_futures_leaves_the_queue_intact() -> Result {
        let domain = domain()?;
        let mut tokens = tokens(&domain, 8)?;
        let mut futures = KVec::with_capacity(8, GFP_KERNEL)?;
        let d = domain.clone();
        let thread = Thread::spawn(move || d.synchronize(..))?;
        assert!(eventually(|| domain.stats().waits == 1));

        for token in tokens.iter().flatten() {
            let (waker, calls) = waker()?;
            let mut future = domain.synchronize_async(GFP_KERNEL, ..=token.cookie());
            assert_eq!(poll(&mut future, &waker), Poll::Pending);
            futures.push((Some(future), calls), GFP_KERNEL)?;
        }
        // The first, the last, and two neighbours.
        for i in [0, 7, 3, 4] {
            futures[i].0 = None;
            assert_eq!(futures[i].1.clones.load(Relaxed), 0);
        }
        for token in tokens.iter_mut() {
            *token = None;
        }
        assert_eq!(thread.join(), Ok(()));
        for (future, calls) in futures.iter() {
            assert_eq!(calls.calls.load(Relaxed), i32::from(future.is_some()));
        }
        Ok(())
    }

    #[test]
    fn the_last_waker_is_called() -> Result {
        let domain = domain()?;
        let ((first, first_calls), (second, second_calls)) = (waker()?, waker()?);
        let token = domain.begin(GFP_KERNEL)?;
        let mut future = domain.synchronize_async(GFP_KERNEL, ..=token.cookie());

        assert_eq!(poll(&mut future, &first), Poll::Pending);
        assert_eq!(poll(&mut future, &second), Poll::Pending);
        assert_eq!(first_calls.clones.load(Relaxed), 1);
        assert_eq!(second_calls.clones.load(Relaxed), 2);

        token.finish();
        assert_eq!(first_calls.calls.load(Relaxed), 0);
        assert_eq!(second_calls.calls.load(Relaxed), 1);
        assert_eq!(poll(&mut future, &first), Poll::Ready(Ok(())));
        assert_eq!(first_calls.clones.load(Relaxed), 1);
        assert_eq!(second_calls.clones.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn a_future_that_is_freed_without_being_dropped_harms_nobody() -> Result {
        let domain = domain()?;
        let ((leaks, leaked_calls), (waker, calls)) = (waker()?, waker()?);
        let token = domain.begin(GFP_KERNEL)?;
        let after = token.cookie().next();

        let mut before = domain.synchronize_async(GFP_KERNEL, ..after);
        assert_eq!(poll(&mut before, &waker), Poll::Pending);
        let mut freed = KBox::new(
            mem::ManuallyDrop::new(domain.synchronize_async(GFP_KERNEL, ..after)),
            GFP_KERNEL,
        )?;
        assert_eq!(poll(&mut freed, &leaks), Poll::Pending);
        let mut behind = domain.synchronize_async(GFP_KERNEL, ..after);
        assert_eq!(poll(&mut behind, &waker), Poll::Pending);

        // SAFETY: It is dropped once, below, and does not touch the domain by then.
        let leaked: SynchronizeAsync<'static> = unsafe { mem::transmute(ptr::read(&**freed)) };
        drop(freed);
        // SAFETY: It is this module.
        let refs = unsafe { ffi::module_refcount(ffi::this_module()) };
        assert!(refs >= 4);
        // Neighbours leave and come.
        drop(before);
        drop(behind);
        let mut behind = domain.synchronize_async(GFP_KERNEL, ..after);
        assert_eq!(poll(&mut behind, &waker), Poll::Pending);
        token.finish();
        assert_eq!(leaked_calls.calls.load(Relaxed), 1);
        assert_eq!(calls.calls.load(Relaxed), 1);
        drop(behind);
        drop(domain);

        // For the sake of the leak detector. Nobody else could do this: its lifetime has ended.
        drop(leaked);
        assert_eq!(leaked_calls.clones.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn a_future_can_be_moved_while_it_waits() -> Result {
        let (domain, (waker, calls)) = (domain()?, waker()?);
        let tokens = [domain.begin(GFP_KERNEL)?, domain.begin(GFP_KERNEL)?];
        let [mut a, mut b] = tokens
            .each_ref()
            .map(|token| domain.synchronize_async(GFP_KERNEL, ..=token.cookie()));

        assert!(poll(&mut a, &waker).is_pending() && poll(&mut b, &waker).is_pending());
        mem::swap(&mut a, &mut b);
        let mut a = KBox::new(a, GFP_KERNEL)?;

        let [first, second] = tokens;
        first.finish();
        assert!(poll(&mut a, &waker).is_pending() && poll(&mut b, &waker).is_ready());
        second.finish();
        assert_eq!(poll(&mut a, &waker), Poll::Ready(Ok(())));
        assert_eq!(calls.calls.load(Relaxed), 2);
        Ok(())
    }

    #[test]
    fn without_memory_a_wait_fails() -> Result {
        if kunit::lacks_failslab() {
            return Ok(());
        }
        let (domain, (waker, calls)) = (domain()?, waker()?);
        let token = domain.begin(GFP_KERNEL)?;
        let mut future = domain.synchronize_async(GFP_NOWAIT, ..=token.cookie());

        let failed = Poll::Ready(Err(ENOMEM));
        assert_eq!(kunit::without_memory(|| poll(&mut future, &waker)), failed);
        // For good, and it has left nothing behind.
        assert_eq!(poll(&mut future, &waker), failed);
        assert_eq!(calls.clones.load(Relaxed), 1);
        assert_eq!(domain.stats().waits, 0);
        Ok(())
    }

    #[test]
    fn the_module_that_polls_is_held() -> Result {
        let domain = domain()?;
        let token = domain.begin(GFP_KERNEL)?;
        let (waker, _) = waker()?;
        let mut future = domain.synchronize_async(GFP_KERNEL, ..=token.cookie());
        // SAFETY: It is this module.
        let refs = || unsafe { ffi::module_refcount(ffi::this_module()) };
        let before = refs();

        assert_eq!(poll(&mut future, &waker), Poll::Pending);
        assert_eq!(refs(), before + 1);
        // No other module may poll it, as if it were the kernel.
        let mut cx = task::Context::from_waker(&waker);
        let other = future.poll_for(Caller::KERNEL, &mut cx);
        assert_eq!(other, Poll::Ready(Err(EBUSY)));
        assert_eq!(poll(&mut future, &waker), Poll::Pending);
        drop(future);
        assert_eq!(refs(), before);

        // And the kernel needs not be held, but the domain's owner does.
        let mut future = domain.synchronize_async(GFP_KERNEL, ..=token.cookie());
        let other = future.poll_for(Caller::KERNEL, &mut cx);
        assert_eq!(other, Poll::Pending);
        assert_eq!(refs(), before + 1);
        drop(token);
        let other = future.poll_for(Caller::KERNEL, &mut cx);
        assert_eq!(other, Poll::Ready(Ok(())));
        Ok(())
    }

    #[test]
    fn dropping_and_polling_race_with_waking() -> Result {
        for i in 0..60 {
            let domain = domain()?;
            let (waker, calls) = waker()?;
            let token = domain.begin(GFP_KERNEL)?;
            let mut future = domain.synchronize_async(GFP_KERNEL, ..=token.cookie());

            assert_eq!(poll(&mut future, &waker), Poll::Pending);
            // While the waker is called, the future is polled.
            calls.spins.store(i % 3 * 5000, Relaxed);
            let finisher = Thread::spawn(move || token.finish())?;
            if i % 2 == 0 {
                // As an executor does that is called: once it was, the future is ready.
                while calls.calls.load(Relaxed) == 0 {
                    relax();
                }
                assert_eq!(poll(&mut future, &waker), Poll::Ready(Ok(())));
            } else {
                while calls.calls.load(Relaxed) == 0 && poll(&mut future, &waker).is_pending() {
                    relax();
                }
            }
            drop(future);
            finisher.join();
            assert_eq!(calls.clones.load(Relaxed), 1);
        }
        Ok(())
    }

    #[test]
    fn polled_inside_a_task_that_it_waits_for() -> Result {
        let (domain, errors) = (domain()?, Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?);
        let (d, e) = (domain.clone(), errors.clone());

        domain.schedule(GFP_KERNEL, move |context| {
            let Ok((waker, _)) = waker() else { return };
            for (cookie, ret) in [
                (context.cookie(), Ok(())),
                (context.cookie().next(), Err(EDEADLK)),
            ] {
                let mut future = d.synchronize_async(GFP_KERNEL, ..cookie);
                let as_expected = poll(&mut future, &waker) == Poll::Ready(ret);
                e.add(i32::from(as_expected), Relaxed);
            }
        })?;
        domain.synchronize(..)?;
        assert_eq!(errors.load(Relaxed), 2);
        Ok(())
    }
}
