// SPDX-License-Identifier: GPL-2.0

//! Spawning futures.

use super::{
    error::SubmitError,
    target::Destination, //
};
use crate::{
    domain::core::{
        cookie::Cookie,
        future_header::{
            Ops,
            Spawned, //
        }, //
    },
    ffi, //
};
use core::{
    future::Future,
    mem::MaybeUninit,
    ptr::NonNull,
    task, //
};
use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// A future and its header.
#[repr(C)]
struct Boxed<F> {
    header: Spawned,
    future: MaybeUninit<F>,
}

impl<F: Future<Output = ()> + Send> Boxed<F> {
    const OPS: Ops = Ops {
        poll: Self::poll,
        discard: Self::discard,
        module: ffi::this_module(),
    };

    /// # Safety
    ///
    /// The header must be that of such a future, which belongs to the caller. If this returns `true`,
    /// it is gone.
    // Tested by: kunit each_future_is_run_and_dropped_once, kunit what_cannot_be_spawned_is_given_back.
    unsafe fn poll(header: NonNull<Spawned>, cx: &mut task::Context<'_>) -> bool {
        // SAFETY: By the caller's promise. The future stays where it is until it is dropped.
        unsafe {
            let future = (&raw mut (*header.as_ptr().cast::<Self>()).future).cast::<F>();
            let ready = Pin::new_unchecked(&mut *future).poll(cx).is_ready();

            if ready {
                future.drop_in_place();
            }
            ready
        }
    }

    /// # Safety
    ///
    /// As above; it is gone afterwards.
    // Tested by: kunit each_future_is_run_and_dropped_once, kunit what_cannot_be_spawned_is_given_back.
    unsafe fn discard(header: NonNull<Spawned>) {
        // SAFETY: By the caller's promise.
        unsafe {
            (&raw mut (*header.as_ptr().cast::<Self>()).future)
                .cast::<F>()
                .drop_in_place()
        }
    }
}

/// Submits a future; see [`Submit::spawn`](crate::Submit::spawn).
#[inline]
// Tested by: kunit each_future_is_run_and_dropped_once, kunit what_cannot_be_spawned_is_given_back.
pub(crate) fn submit<F>(
    to: Destination<'_>,
    flags: Flags,
    future: F,
) -> Result<Cookie, SubmitError<F>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(memory) = KBox::<Boxed<F>>::new_uninit(flags) else {
        return Err(SubmitError {
            error: ENOMEM,
            task: future,
        });
    };
    let memory: *mut Boxed<F> = KBox::into_raw(memory).cast();

    // SAFETY: The memory is valid for writing, and for a future of this type.
    let header = unsafe {
        Spawned::init(&raw mut (*memory).header, &Boxed::<F>::OPS, to.nid);
        (&raw mut (*memory).future).write(MaybeUninit::new(future));
        NonNull::new_unchecked(memory.cast())
    };
    // SAFETY: It has just been made, and the future is `'static`. If it was not submitted, the
    // memory is still ours, and the future has not been polled, and so may be moved.
    unsafe {
        Spawned::submit(header, to.domain).map_err(|error| {
            let task = (*memory).future.assume_init_read();
            ffi::kfree(memory.cast());
            SubmitError { error, task }
        })
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_spawn)]
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
            eventually,
            settle,
            Gate,
            Interrupt,
            Thread, //
        },
        new_wait_queue,
        wait::{
            Fifo,
            Filter,
            Verdict,
            WaitMode,
            WaitQueue, //
        },
        AsyncDomain,
        Cancelled,
        Submit, //
    };
    use core::{
        future::poll_fn,
        task::{
            Poll,
            Waker, //
        }, //
    };
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
        time::Delta,
        types::ScopeGuard, //
    };

    fn counter() -> Result<Arc<Atomic<i32>>> {
        Ok(Arc::new(Atomic::new(0), GFP_KERNEL)?)
    }

    /// Nobody waits: this is a lock that interrupts may take.
    #[derive(Clone, Copy)]
    struct Nobody;

    impl Filter for Nobody {
        type Event = ();
        type Order = Fifo;

        fn judge(&self, _event: &mut ()) -> Verdict<Fifo> {
            Verdict::SKIP
        }
    }

    type Locked<T> = Arc<WaitQueue<Option<T>, Nobody>>;

    fn locked<T>(value: Option<T>) -> Result<Locked<T>> {
        Arc::pin_init(new_wait_queue!(value), GFP_KERNEL)
    }

    /// Spawns a future that leaves its waker in a place and waits for ever; counts polls and drops.
    fn sleeper(
        domain: &AsyncDomain,
        place: &Locked<Waker>,
        polls: &Arc<Atomic<i32>>,
        drops: &Arc<Atomic<i32>>,
    ) -> Result<Cookie> {
        let (place, polls, drops) = (place.clone(), polls.clone(), drops.clone());
        let guard = ScopeGuard::new(move || drops.add(1, Relaxed));
        let future = poll_fn(move |cx| {
            let _guard = &guard;
            let waker = cx.waker().clone();
            let old = place.with(|place| place.replace(waker));
            drop(old);
            polls.add(1, Relaxed);
            Poll::Pending
        });

        Ok(domain.spawn(GFP_KERNEL, future)?)
    }

    #[test]
    fn each_future_is_run_and_dropped_once() -> Result {
        let (domain, runs, drops) = (domain()?, counter()?, counter()?);

        for _ in 0..500 {
            let (r, d) = (runs.clone(), drops.clone());
            let guard = ScopeGuard::new(move || d.add(1, Relaxed));
            domain.spawn(GFP_KERNEL, async move {
                let _guard = guard;
                r.add(1, Relaxed);
            })?;
        }
        domain.synchronize(..)?;
        assert_eq!((runs.load(Relaxed), drops.load(Relaxed)), (500, 500));
        let stats = domain.stats();
        assert_eq!((stats.submitted, stats.finished), (500, 500));
        Ok(())
    }

    #[test]
    fn what_cannot_be_spawned_is_given_back() -> Result {
        if kunit::lacks_failslab() {
            return Ok(());
        }
        let (domain, runs) = (domain()?, counter()?);
        let r = runs.clone();
        let future = async move { r.add(1, Relaxed) };

        let ret = kunit::without_memory(|| domain.spawn(GFP_NOWAIT, future));
        let Err(SubmitError { error, task }) = ret else {
            return Err(EINVAL);
        };
        assert_eq!(error, ENOMEM);
        domain.set_limit(0);
        let Err(SubmitError { error, task }) = domain.spawn(GFP_KERNEL, task) else {
            return Err(EINVAL);
        };
        assert_eq!(error, EAGAIN);
        domain.set_limit(1);
        domain.spawn(GFP_KERNEL, task)?;
        domain.synchronize(..)?;
        assert_eq!(runs.load(Relaxed), 1);

        domain.close();
        let ret = domain.spawn(GFP_KERNEL, async {});
        assert!(matches!(ret, Err(SubmitError { error, .. }) if error == ESHUTDOWN));
        Ok(())
    }

    #[test]
    fn futures_await_one_another_in_a_chain() -> Result {
        const N: i32 = 200;
        let (domain, next) = (domain()?, counter()?);
        let start = domain.begin(GFP_KERNEL)?;
        let mut before = start.cookie();

        for i in 0..N {
            let (d, n) = (domain.clone(), next.clone());
            before = domain.spawn(GFP_KERNEL, async move {
                if d.synchronize_async(GFP_KERNEL, ..=before).await.is_ok() && n.load(Relaxed) == i
                {
                    n.store(i + 1, Relaxed);
                }
            })?;
        }
        // All of them wait, and no thread does.
        // CAST: A small number.
        assert!(eventually(|| domain.stats().waits == N as u64));
        assert_eq!(next.load(Relaxed), 0);
        start.finish();
        domain.synchronize(..)?;
        assert_eq!(next.load(Relaxed), N);
        assert_eq!(domain.stats().spurious, 0);
        Ok(())
    }

    #[test]
    fn a_future_that_waits_for_itself_gets_an_error() -> Result {
        let (domain, ret) = (domain()?, locked(None)?);
        let (gate, own) = (Gate::new()?, locked(None)?);
        let (d, r, g, o) = (domain.clone(), ret.clone(), gate.clone(), own.clone());

        let cookie = domain.spawn(GFP_KERNEL, async move {
            g.wait();
            if let Some(cookie) = o.with(|own| own.take()) {
                let earlier = d.synchronize_async(GFP_KERNEL, ..cookie).await;
                let itself = d
                    .synchronize_async(GFP_KERNEL, ..Cookie::next(cookie))
                    .await;
                r.with(|ret| **ret = Some((earlier, itself)));
            }
        })?;
        own.with(|own| **own = Some(cookie));
        gate.open();
        domain.synchronize(..)?;
        assert_eq!(ret.with(|ret| ret.take()), Some((Ok(()), Err(EDEADLK))));
        Ok(())
    }

    #[test]
    fn woken_while_polled_is_polled_again() -> Result {
        let (domain, polls) = (domain()?, counter()?);
        let p = polls.clone();

        domain.spawn(
            GFP_KERNEL,
            poll_fn(move |cx| {
                if p.fetch_add(1, Relaxed) == 9 {
                    return Poll::Ready(());
                }
                for _ in 0..3 {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }),
        )?;
        domain.synchronize(..)?;
        settle();
        assert_eq!(polls.load(Relaxed), 10);
        Ok(())
    }

    #[test]
    fn waking_what_is_done_does_nothing() -> Result {
        let (domain, polls, place) = (domain()?, counter()?, locked::<Waker>(None)?);
        let (p, l) = (polls.clone(), place.clone());

        domain.spawn(
            GFP_KERNEL,
            poll_fn(move |cx| {
                let waker = cx.waker().clone();
                drop(l.with(|place| place.replace(waker)));
                if p.fetch_add(1, Relaxed) == 1 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }),
        )?;
        assert!(eventually(|| polls.load(Relaxed) == 1));
        settle();
        let waker = place.with(|place| place.take()).ok_or(EINVAL)?;
        waker.wake_by_ref();
        domain.synchronize(..)?;
        drop(domain);
        assert_eq!(polls.load(Relaxed), 2);

        for _ in 0..10 {
            waker.wake_by_ref();
        }
        let clone = waker.clone();
        drop(waker);
        clone.wake();
        settle();
        assert_eq!(polls.load(Relaxed), 2);
        Ok(())
    }

    #[test]
    fn cancelled_futures_are_dropped_wherever_they_wait() -> Result {
        let (domain, polls, drops) = (domain()?, counter()?, counter()?);
        let place = locked(None)?;

        let cookie = sleeper(&domain, &place, &polls, &drops)?;
        assert!(eventually(|| polls.load(Relaxed) == 1));
        let d = domain.clone();
        let waiter = Thread::spawn(move || d.synchronize(..))?;
        assert!(eventually(|| domain.stats().waits == 1));

        // It may still be on its way out of the poll; then its worker drops it.
        settle();
        assert_eq!(domain.cancel(cookie), Cancelled::Dropped);
        assert!(eventually(|| drops.load(Relaxed) == 1));
        assert_eq!(waiter.join(), Ok(()));
        assert_eq!(domain.cancel(cookie), Cancelled::NotFound);
        // Its waker has survived.
        drop(place.with(|place| place.take()));

        // One that is being polled, and waits for that to be seen.
        let (gate, begun) = (Gate::new()?, Gate::new()?);
        let (g, b, d) = (gate.clone(), begun.clone(), drops.clone());
        let guard = ScopeGuard::new(move || d.add(1, Relaxed));
        let cookie = domain.spawn(
            GFP_KERNEL,
            poll_fn(move |_| {
                let _guard = &guard;
                b.open();
                g.wait();
                Poll::Pending
            }),
        )?;
        begun.wait();
        assert_eq!(domain.cancel(cookie), Cancelled::AskedToStop);
        assert_eq!(drops.load(Relaxed), 1);
        gate.open();
        domain.synchronize(..)?;
        assert_eq!(drops.load(Relaxed), 2);

        // Many at once, of which some have not been polled yet.
        for _ in 0..50 {
            sleeper(&domain, &place, &polls, &drops)?;
        }
        domain.cancel_all();
        domain.synchronize(..)?;
        assert_eq!(drops.load(Relaxed), 52);
        Ok(())
    }

    #[test]
    fn wakes_race_with_cancelling() -> Result {
        let (domain, polls, drops) = (domain()?, counter()?, counter()?);

        for i in 0..40 {
            let place = locked(None)?;
            sleeper(&domain, &place, &polls, &drops)?;
            let p = place.clone();
            let waker = Thread::spawn(move || {
                for _ in 0..20 {
                    p.with(|place| {
                        if let Some(waker) = &**place {
                            waker.wake_by_ref();
                        }
                    });
                }
            })?;
            domain.cancel_all();
            domain.synchronize(..)?;
            waker.join();
            assert_eq!(drops.load(Relaxed), i + 1);
        }
        Ok(())
    }

    #[test]
    fn tasks_that_wait_do_not_keep_futures_from_being_polled() -> Result {
        let domain = domain()?;

        kunit::with_full_queue(|| {
            domain.spawn(GFP_KERNEL, async {})?;
            let minute = Delta::from_secs(60);
            domain.synchronize_with(WaitMode::UNINTERRUPTIBLE.timeout(minute), ..)
        })
    }

    #[test]
    fn the_last_waker_may_go_in_an_interrupt() -> Result {
        // More than the allocator takes back without a lock.
        const N: i32 = 500;
        // SAFETY: It is this module.
        let refs = || unsafe { ffi::module_refcount(ffi::this_module()) };
        // What other suites have finished, they may not have let go yet.
        settle();
        let before = refs();
        let (domain, polls, drops) = (domain()?, counter()?, counter()?);
        let mut wakers = KVec::new();

        for _ in 0..N {
            let place = locked(None)?;
            sleeper(&domain, &place, &polls, &drops)?;
            assert!(eventually(|| place.with(|place| place.is_some())));
            let waker = place.with(|place| place.take()).ok_or(EINVAL)?;
            wakers.push(waker, GFP_KERNEL)?;
        }
        domain.cancel_all();
        domain.synchronize(..)?;
        drop(domain);
        // Those of the headers, which the wakers have.
        assert!(eventually(|| refs() == before + N));

        let forget = move || while wakers.pop().is_some() {};
        Interrupt::during(Delta::from_millis(1), forget, || ())?;
        assert!(eventually(|| refs() == before));
        Ok(())
    }

    #[test]
    fn modules_stay_until_future_and_waker_are_gone() -> Result {
        let (domain, polls, drops) = (domain()?, counter()?, counter()?);
        let place = locked(None)?;
        // SAFETY: It is this module.
        let refs = || unsafe { ffi::module_refcount(ffi::this_module()) };
        // What other suites have finished, they may not have let go yet.
        settle();
        let before = refs();

        let cookie = sleeper(&domain, &place, &polls, &drops)?;
        assert!(eventually(|| polls.load(Relaxed) == 1));
        settle();
        // That of the submitter, which is the owner, and that of the header.
        assert!(eventually(|| refs() == before + 2));
        assert_eq!(domain.cancel(cookie), Cancelled::Dropped);
        drop(domain);
        // That of the header, which the waker has.
        assert!(eventually(|| refs() == before + 1));
        drop(place.with(|place| place.take()));
        assert!(eventually(|| refs() == before));
        Ok(())
    }

    #[test]
    fn a_future_can_drop_its_own_domain() -> Result {
        let (domain, place, polls) = (domain()?, locked::<Waker>(None)?, counter()?);
        let (gate, done) = (Gate::new()?, Gate::new()?);
        let (own, l, p, g) = (domain.clone(), place.clone(), polls.clone(), gate.clone());
        let end = done.clone();
        let guard = ScopeGuard::new(move || end.open());

        domain.spawn(GFP_KERNEL, async move {
            let _guard = guard;
            g.wait();
            // The last reference: it waits for no one, and goes on without a domain.
            drop(own);
            poll_fn(move |cx| {
                let waker = cx.waker().clone();
                drop(l.with(|place| place.replace(waker)));
                if p.fetch_add(1, Relaxed) == 0 {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
            .await;
        })?;
        drop(domain);
        gate.open();
        assert!(eventually(|| polls.load(Relaxed) == 1));
        let waker = place.with(|place| place.take()).ok_or(EINVAL)?;
        waker.wake();
        done.wait();
        drop(place.with(|place| place.take()));
        Ok(())
    }

    #[test]
    fn woken_by_a_timer_interrupt() -> Result {
        let domain = domain()?;
        let other = self::domain()?;

        for _ in 0..10 {
            let done = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;
            let token = domain.begin(GFP_KERNEL)?;
            let after = token.cookie().next();
            let waits = domain.stats().waits;

            let (d, r) = (domain.clone(), done.clone());
            other.spawn(GFP_KERNEL, async move {
                if d.synchronize_async(GFP_KERNEL, ..after).await.is_ok() {
                    r.store(1, Release);
                }
            })?;
            assert!(eventually(|| domain.stats().waits > waits));
            let mut token = Some(token);
            let answer = move || drop(token.take());
            Interrupt::during(Delta::from_millis(2), answer, || other.synchronize(..))??;
            assert_eq!(done.load(Acquire), 1);
        }
        assert_eq!(domain.stats().wakeups, 10);
        Ok(())
    }
}
