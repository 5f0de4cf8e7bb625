// SPDX-License-Identifier: GPL-2.0

//! Scopes: tasks that borrow from the frame that waits for them.

use super::target::{
    Accepts,
    Destination,
    Target, //
};
use crate::{
    domain::{
        core::{
            domain::AsyncDomain,
            scope_data::ScopeData, //
        },
        wait::scope::with_scope, //
    },
    ffi, //
};
use core::marker::PhantomData;

/// A scope in which tasks can be [submitted](crate::Submit) that borrow from the caller; see
/// [`AsyncDomain::scope`].
///
/// Where the scope is itself inside a task, and holds a worker, a task may be run by the scope's own thread,
/// when that waits. A task of the scope may submit others into it.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, Scope, Submit};
///
/// fn squares<'scope>(scope: &'scope Scope<'scope, '_>, out: &'scope mut [usize]) -> Result {
///     for (i, square) in out.iter_mut().enumerate() {
///         scope.schedule(GFP_KERNEL, move |_| *square = i * i)?;
///     }
///     Ok(())
/// }
///
/// let domain = new_async_domain!("squares", GFP_KERNEL)?;
/// let mut out = [0; 4];
/// domain.scope(|scope| squares(scope, &mut out))?;
/// assert_eq!(out, [0, 1, 4, 9]);
/// # Ok::<(), Error>(())
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    domain: &'scope AsyncDomain,
    data: &'scope ScopeData,
    // Invariant in both lifetimes, as `std::thread::Scope`.
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

// SAFETY: The scope is not left before its tasks are finished, and the closures consumed.
// Tested by: mutant scope-does-not-wait, compile-fail scope_escapes.
unsafe impl<'scope> Accepts<'scope> for Scope<'scope, '_> {}

impl Target for Scope<'_, '_> {
    #[inline]
    fn destination(&self) -> Destination<'_> {
        Destination {
            scope: self.data,
            ..self.domain.destination()
        }
    }
}

impl AsyncDomain {
    /// Runs `f`, which can submit tasks that borrow from the caller's frame, and waits for these
    /// tasks before it returns, whatever `f` returns. Other tasks of the domain are not waited for.
    ///
    /// The tasks hold no reference on the module that calls this, since the scope's frame is in it: a
    /// scope can be used while the module is being unloaded. Those that another module submits, to which
    /// the scope was handed, hold that one. If another module has made the domain, then the scope holds that:
    /// its tasks are refused with `ESHUTDOWN` if that module is being unloaded.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{new_async_domain, AsyncDomain, Submit};
    ///
    /// fn sums(domain: &AsyncDomain, rows: &[[u32; 4]; 2]) -> Result<[u32; 2]> {
    ///     let mut sums = [0; 2];
    ///
    ///     domain.scope(|scope| -> Result {
    ///         for (sum, row) in sums.iter_mut().zip(rows) {
    ///             scope.schedule(GFP_KERNEL, move |_| *sum = row.iter().sum())?;
    ///         }
    ///         Ok(())
    ///     })?;
    ///     Ok(sums)
    /// }
    ///
    /// let domain = new_async_domain!("sums", GFP_KERNEL)?;
    /// assert_eq!(sums(&domain, &[[1, 2, 3, 4], [5, 6, 7, 8]])?, [10, 26]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Context
    ///
    /// Process context; may sleep. May be called by a task of the same domain. An interrupt that would have to wait
    /// for the tasks panics.
    #[inline(always)]
    pub fn scope<'env, F, R>(&self, f: F) -> R
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    {
        with_scope(self, ffi::this_module(), |data| {
            f(&Scope {
                domain: self,
                data,
                _scope: PhantomData,
                _env: PhantomData,
            })
        })
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kernel::prelude::kunit_tests(async_domain_scope)]
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
            settle, //
        },
        Cancelled,
        Cookie,
        OwnedDomain,
        Submit,
        TaskContext,
        WaitMode, //
    };
    use kernel::{
        prelude::*,
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

    /// A domain that tasks of the others can wait for, in the eyes of lockdep.
    fn other() -> Result<Arc<OwnedDomain>> {
        let domain = crate::new_async_domain!("kunit", GFP_KERNEL)?;

        Ok(Arc::new(domain, GFP_KERNEL)?)
    }

    #[test]
    fn tasks_borrow_from_the_caller() -> Result {
        let domain = domain()?;
        let mut squares = [0usize; 16];

        domain.scope(|scope| -> Result {
            for (i, square) in squares.iter_mut().enumerate() {
                scope.schedule(GFP_KERNEL, move |_| {
                    settle();
                    *square = i * i;
                })?;
            }
            Ok(())
        })?;
        assert!(squares
            .iter()
            .enumerate()
            .all(|(i, &square)| square == i * i));
        Ok(())
    }

    #[test]
    fn every_form_borrows_from_the_caller() -> Result {
        let domain = domain()?;
        let order = Atomic::<i32>::new(0);
        let next = |i| assert_eq!(order.fetch_add(1, Relaxed), i);
        let (mut squares, mut node) = ([0; 4], -1);

        let sum = domain.scope(|scope| -> Result<i32> {
            for i in 0..4 {
                scope.schedule_ordered(GFP_KERNEL, move |_| i, |i, _| next(i))?;
            }
            let mut funcs = KVec::with_capacity(squares.len(), GFP_KERNEL)?;
            for (i, square) in squares.iter_mut().enumerate() {
                funcs.push(move |_: &TaskContext<'_>| *square = i * i, GFP_KERNEL)?;
            }
            scope.schedule_batch(GFP_KERNEL, funcs)?;
            scope
                .on_node(0)?
                .schedule(GFP_KERNEL, |_| node = ffi::numa_node_id())?;
            scope.schedule(GFP_KERNEL, |_| Err::<(), _>(EIO))?;

            let (one, two) = (&1, &2);
            scope
                .schedule_with_handle(GFP_KERNEL, move |_| one + two)?
                .join()
        });
        assert_eq!(sum, Ok(3));
        // All were waited for.
        assert_eq!(order.load(Relaxed), 4);
        assert_eq!(squares, [0, 1, 4, 9]);
        // Placement is no promise.
        assert!(node >= 0);
        assert_eq!(domain.synchronize_result(), Err(EIO));

        // Nor is the scope left without those that were not submitted.
        let mut given_back = 0;
        domain.close();
        domain.scope(|scope| {
            let funcs = KVec::from_elem(|_: &TaskContext<'_>| (), 4, GFP_KERNEL);
            if let Ok(funcs) = funcs {
                let ret = scope.schedule_batch(GFP_KERNEL, funcs);
                given_back = ret.err().map_or(0, |error| error.task.len());
            }
            assert!(scope.schedule_with_handle(GFP_KERNEL, |_| 1).is_err());
        });
        assert_eq!(given_back, 4);
        Ok(())
    }

    #[test]
    fn tasks_of_another_module_than_the_frame_hold_it() -> Result {
        let domain = domain()?;
        // SAFETY: It is this module.
        let refs = || unsafe { ffi::module_refcount(ffi::this_module()) };
        // How many there are while a task of the scope is unfinished, if the frame is that module's.
        let held = |frame| {
            let gate = kunit::Gate::new()?;

            with_scope(&domain, frame, |data| -> Result<i32> {
                let scope = Scope {
                    domain: &domain,
                    data,
                    _scope: PhantomData,
                    _env: PhantomData,
                };
                scope.schedule(GFP_KERNEL, |_| gate.wait())?;
                let held = refs();
                gate.open();
                Ok(held)
            })
        };
        // What other suites have finished, they may not have let go yet.
        settle();
        let before = refs();

        assert_eq!(held(ffi::this_module()), Ok(before));
        // As if it were the kernel's: the scope holds the domain's owner, and the task its submitter.
        assert_eq!(held(core::ptr::null_mut()), Ok(before + 2));
        assert!(kunit::eventually(|| refs() == before));
        Ok(())
    }

    #[test]
    fn tasks_are_refused_when_the_domains_owner_goes() -> Result {
        let domain = domain()?;
        let mut memory = KVec::from_elem(0u64, size_of::<ffi::module>() / 8, GFP_KERNEL)?;
        let going: *mut ffi::module = memory.as_mut_ptr().cast();
        // SAFETY: The memory is a module's, of which nothing but this is looked at.
        unsafe { (&raw mut (*going).state).write(ffi::module_state_MODULE_STATE_GOING) };
        let submit = || {
            domain.scope(|scope| {
                scope
                    .schedule(GFP_KERNEL, |_| ())
                    .map(drop)
                    .map_err(|e| e.error)
            })
        };

        domain.owner.store(going, Relaxed);
        let refused = submit();
        domain.owner.store(ffi::this_module(), Relaxed);
        assert_eq!(refused, Err(ESHUTDOWN));
        assert_eq!(submit(), Ok(()));
        Ok(())
    }

    #[test]
    fn tasks_submit_into_their_scope() -> Result {
        let domain = domain()?;
        let ran = &Atomic::<i32>::new(0);

        domain.scope(|scope| -> Result {
            scope.schedule(GFP_KERNEL, move |_| {
                for _ in 0..8 {
                    let task = move |_: &TaskContext<'_>| {
                        settle();
                        ran.add(1, Relaxed);
                    };
                    if scope.schedule(GFP_KERNEL, task).is_err() {
                        ran.add(-1, Relaxed);
                    }
                }
            })?;
            Ok(())
        })?;
        assert_eq!(ran.load(Relaxed), 8);
        Ok(())
    }

    #[test]
    fn an_early_return_waits_too() -> Result {
        let domain = domain()?;
        let ran = Atomic::<i32>::new(0);

        let ret = domain.scope(|scope| -> Result {
            scope.schedule(GFP_KERNEL, |_| {
                settle();
                ran.add(1, Relaxed);
            })?;
            Err(EIO)
        });
        assert_eq!(ret, Err(EIO));
        assert_eq!(ran.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn scopes_nest_in_tasks_of_the_same_domain() -> Result {
        let domain = domain()?;
        let d = &*domain;
        let total = Atomic::<i32>::new(0);
        let count = &total;

        d.scope(|outer| -> Result {
            for _ in 0..4 {
                outer.schedule(GFP_KERNEL, move |_| {
                    let mine = Atomic::<i32>::new(0);
                    let _ = d.scope(|inner| -> Result {
                        for _ in 0..4 {
                            inner.schedule(GFP_KERNEL, |_| mine.add(1, Relaxed))?;
                        }
                        Ok(())
                    });
                    count.add(mine.load(Relaxed), Relaxed);
                })?;
            }
            Ok(())
        })?;
        assert_eq!(total.load(Relaxed), 16);
        Ok(())
    }

    /// Runs `f` in a task of a scope, which a worker runs if `elsewhere`, and else it or the opener.
    fn in_scope<R: Send>(
        domain: &AsyncDomain,
        elsewhere: bool,
        f: impl FnOnce() -> R + Send,
    ) -> Result<R> {
        let (began, mut ret) = (kunit::Gate::new()?, None);

        domain.scope(|scope| -> Result {
            let (began, ret) = (&began, &mut ret);
            scope.schedule(GFP_KERNEL, move |_| {
                began.open();
                *ret = Some(f());
            })?;
            if elsewhere {
                began.wait();
            }
            Ok(())
        })?;
        ret.ok_or(EINVAL)
    }

    #[test]
    fn its_tasks_are_inside_of_what_opened_it() -> Result {
        let mode = WaitMode::UNINTERRUPTIBLE.timeout(Delta::from_millis(1000));

        for elsewhere in [true, false, false, false] {
            let (domain, other) = (domain()?, other()?);
            let d = domain.clone();
            let own = domain.schedule_with_handle(GFP_KERNEL, move |_| {
                in_scope(&d, elsewhere, || d.synchronize_with(mode, ..))
            })?;
            assert_eq!(own.join(), Ok(Ok(Err(EDEADLK))));

            // By two scopes of another domain.
            let (d, o) = (domain.clone(), other.clone());
            let nested = domain.schedule_with_handle(GFP_KERNEL, move |_| {
                in_scope(&o, elsewhere, || {
                    in_scope(&o, elsewhere, || d.synchronize_with(mode, ..))
                })
            })?;
            assert_eq!(nested.join(), Ok(Ok(Ok(Err(EDEADLK)))));

            // For all domains, and for the scope's own.
            let (d, o) = (domain.clone(), other.clone());
            let all = domain.schedule_with_handle(GFP_KERNEL, move |_| {
                in_scope(&o, elsewhere, || {
                    (crate::synchronize_all(), o.synchronize_with(mode, ..))
                })
                .map(|ret| (ret, d.synchronize_with(mode, ..Cookie::now())))
            })?;
            let deadlock = Err(EDEADLK);
            assert_eq!(all.join(), Ok(Ok(((deadlock, deadlock), deadlock))));

            // The opener is in no task: there is nothing to wait for in vain.
            assert_eq!(
                in_scope(&domain, elsewhere, || other.synchronize_with(mode, ..)),
                Ok(Ok(()))
            );
        }
        Ok(())
    }

    #[test]
    fn its_tasks_can_drop_the_domain_of_its_opener() -> Result {
        for elsewhere in [true, false, false, false] {
            let (domain, other) = (domain()?, other()?);
            let (gate, seen) = (
                kunit::Gate::new()?,
                Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?,
            );
            let (own, g, s) = (domain.clone(), gate.clone(), seen.clone());

            domain.schedule(GFP_KERNEL, move |context| {
                g.wait();
                let began = kunit::Gate::new();
                let _ = other.scope(|scope| -> Result {
                    let began = began.as_ref().map_err(|e| *e)?;
                    // The last reference.
                    scope.schedule(GFP_KERNEL, move |_| {
                        began.open();
                        drop(own);
                    })?;
                    if elsewhere {
                        began.wait();
                        // Not a domain that is gone.
                        while context.synchronize().is_ok() {
                            kunit::relax();
                        }
                    }
                    Ok(())
                });
                if context.synchronize() == Err(ESHUTDOWN) {
                    s.store(1, Relaxed);
                }
            })?;
            drop(domain);
            gate.open();
            assert!(kunit::eventually(|| seen.load(Relaxed) == 1));
        }
        Ok(())
    }

    #[test]
    fn what_is_dropped_with_its_tasks_is_inside_of_its_opener() -> Result {
        let mode = WaitMode::UNINTERRUPTIBLE.timeout(Delta::from_millis(1000));
        let (domain, other, third) = (domain()?, other()?, other()?);
        let (d, o) = (domain.clone(), other.clone());
        let ret = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;
        let r = ret.clone();

        domain.set_limit(0);
        kunit::with_full_queue(|| {
            domain.schedule_or_run(GFP_KERNEL, move |_| {
                let _ = o.scope(|scope| -> Result {
                    let guard = ScopeGuard::new(|| {
                        let ret = d.synchronize_with(mode, ..);
                        r.store(ret.map_or_else(|e| e.to_errno(), |()| 0), Relaxed);
                    });
                    let cookie = scope.schedule(GFP_KERNEL, move |_| drop(guard))?;
                    // Another thread, which is inside of a task itself.
                    let (o, t) = (o.clone(), third.clone());
                    t.set_limit(0);
                    kunit::Thread::spawn(move || {
                        t.schedule_or_run(GFP_KERNEL, move |_| {
                            assert_eq!(o.cancel(cookie), Cancelled::Dropped)
                        })
                        .is_ok()
                    })?
                    .join();
                    Ok(())
                });
            })?;
            Ok(())
        })?;
        assert_eq!(ret.load(Relaxed), EDEADLK.to_errno());
        Ok(())
    }

    #[test]
    fn who_waits_inside_a_task_runs_what_no_worker_does() -> Result {
        let (domain, other) = (domain()?, other()?);
        let ran_by = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;
        let r = ran_by.clone();

        domain.set_limit(0);
        let opener = kunit::with_full_queue(|| {
            let opener = kunit::Thread::spawn(move || {
                let _ = domain.schedule_or_run(GFP_KERNEL, move |_| {
                    let _ = other.scope(|scope| {
                        let task = |_: &TaskContext<'_>| r.store(ffi::current_pid(), Relaxed);
                        scope.schedule(GFP_KERNEL, task).map(drop)
                    });
                });
                ffi::current_pid()
            })?;
            assert!(kunit::eventually(|| ran_by.load(Relaxed) != 0));
            Ok(opener)
        })?;
        assert_eq!(ran_by.load(Relaxed), opener.join());
        Ok(())
    }

    #[test]
    fn a_scope_waits_for_its_own_tasks_only() -> Result {
        let domain = domain()?;
        let other = domain.begin(GFP_KERNEL)?;
        let mut ran = false;

        domain.scope(|scope| scope.schedule(GFP_KERNEL, |_| ran = true).map(drop))?;
        assert!(ran);
        assert_eq!(domain.lowest_in_progress(), Some(other.cookie()));
        Ok(())
    }

    #[test]
    fn a_refused_task_is_not_waited_for() -> Result {
        if kunit::lacks_failslab() {
            return Ok(());
        }
        let domain = domain()?;
        let mut ran = false;

        let ret = domain.scope(|scope| {
            kunit::without_memory(|| scope.schedule(GFP_NOWAIT, |_| ran = true)).map(drop)
        });
        assert!(matches!(ret, Err(e) if e.error == ENOMEM));
        domain.close();
        let ret = domain.scope(|scope| scope.schedule(GFP_KERNEL, |_| ran = true).map(drop));
        assert!(matches!(ret, Err(e) if e.error == ESHUTDOWN));
        assert!(!ran);
        Ok(())
    }
}
