// SPDX-License-Identifier: GPL-2.0

//! The end of a domain: dropping it, and what waits for that.

use crate::domain::core::{
    cookie::Cookie,
    domain::AsyncDomain,
    header::Task,
    order,
    pending::NodeRef,
    registry,
    running::RunningTask,
    trace, //
};
use kernel::prelude::*;

impl Drop for AsyncDomain {
    /// Refuses new tasks and waits for the others. Must be done in process context; may sleep. In an interrupt
    /// that would have to wait, there is no way to go on, and the kernel panics.
    ///
    /// If the calling thread is inside tasks of this very domain, then these cannot be waited for:
    /// they count as finished from now on, which is reported in the kernel log. Nothing of the
    /// domain is used on their behalf any more.
    // Tested by: model domain-end, mutant finish-takes-lock-twice.
    fn drop(&mut self) {
        let this: *const Self = self;

        let (own, next) = self.queue.with(|state| {
            state.closed = true;
            let own = RunningTask::detach(this, |node| {
                // SAFETY: The node of a task that runs and is attached is in the list.
                let node = unsafe {
                    let node = NodeRef::new(node);
                    state.detach(node, self.owner());
                    node
                };
                trace::task_finish(self, state, node);
            });
            let next = if own > 0 { order::advance(state) } else { None };
            (own, next)
        });

        if let Some(task) = next {
            Task::retire_elsewhere(task);
        }
        if own > 0 {
            pr_warn!("a task drops its own domain, which cannot wait for it\n");
        } else {
            self.lockdep_drain();
        }
        self.wait_unused("which is being dropped");
        leave_registry(self);
        if let Some((cookie, error)) = self.take_error() {
            Self::log_unseen_error(cookie, error);
        }
    }
}

/// Takes a domain that is being dropped, and has no task left, out of the registry; waits for its
/// pins.
pub(crate) fn leave_registry(domain: &AsyncDomain) {
    while !registry::locked(|registry| {
        // A pin comes with the registry's lock held. Without one now, and none after we have
        // left the list, there will be none.
        let unused = domain.frontier() == Cookie::UNUSED;
        if unused {
            registry.unlink(domain);
        }
        unused
    }) {
        domain.wait_unused("which is being dropped");
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain)]
mod tests {
    use super::*;
    use crate::kunit::{
        domain,
        settle,
        Gate, //
    };
    use crate::{
        domain::life::owned::OwnedDomain,
        errno::ESHUTDOWN,
        Submit,
        SubmitError, //
    };
    use core::ptr;
    use kernel::sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc,
        LockClassKey, //
    };

    #[test]
    fn cookies_increase_over_all_domains() -> Result {
        let (a, b) = (domain()?, domain()?);
        let mut last = a.schedule(GFP_KERNEL, |_| ())?;

        for _ in 0..100 {
            let now = Cookie::now();
            let in_b = b.schedule(GFP_KERNEL, |_| ())?;
            let in_a = a.begin(GFP_KERNEL)?.cookie();
            assert!(last < now && now <= in_b && in_b < in_a);
            last = in_a;
        }
        a.synchronize(..).and(b.synchronize(..))
    }

    #[test]
    fn drop_drains_and_refuses() -> Result {
        let domain = crate::new_async_domain!("kunit", GFP_KERNEL)?;
        let gate = Gate::new()?;
        let done = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;

        for _ in 0..8 {
            let (g, d) = (gate.clone(), done.clone());
            domain.schedule(GFP_KERNEL, move |_| {
                g.wait();
                settle();
                d.add(1, Relaxed);
            })?;
        }
        domain.close();
        let refused = domain.schedule(GFP_KERNEL, |_| ());
        assert!(matches!(refused, Err(SubmitError { error, .. }) if error == ESHUTDOWN));
        assert!(matches!(domain.begin(GFP_KERNEL), Err(e) if e == ESHUTDOWN));

        gate.open();
        drop(domain);
        assert_eq!(done.load(Relaxed), 8);
        Ok(())
    }

    #[test]
    fn a_disowned_domain_has_nothing_of_its_maker() -> Result {
        let keys = [
            KBox::pin_init(LockClassKey::new_dynamic(), GFP_KERNEL)?,
            KBox::pin_init(LockClassKey::new_dynamic(), GFP_KERNEL)?,
        ];
        // SAFETY: They are pinned, and not used any more when they are dropped.
        let static_keys = [0, 1].map(|i| unsafe { Pin::new_unchecked(&*ptr::from_ref(&*keys[i])) });
        let domain = OwnedDomain::new(c"kunit", static_keys, false, GFP_KERNEL)?;

        domain.begin(GFP_KERNEL)?.finish();
        domain.synchronize(..)?;
        registry::locked(|_| domain.disown());
        // Lockdep forgets the classes. It would report a domain that still had one of them.
        drop(keys);
        assert!(matches!(domain.begin(GFP_KERNEL), Err(e) if e == ESHUTDOWN));
        domain.synchronize(..)?;
        assert!(domain.owner().is_null());
        Ok(())
    }

    #[test]
    fn a_task_can_drop_its_own_domain() -> Result {
        let domain = domain()?;
        let (gate, dropped) = (Gate::new()?, Gate::new()?);
        let other_ran = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;
        let other_seen = Arc::new(Atomic::<i32>::new(-1), GFP_KERNEL)?;

        let (d, g, signal) = (domain.clone(), gate.clone(), dropped.clone());
        let (ran, seen) = (other_ran.clone(), other_seen.clone());
        domain.schedule(GFP_KERNEL, move |context| {
            g.wait();
            // The last reference: the others have been given up.
            drop(d);
            seen.store(ran.load(Relaxed), Relaxed);
            if context.synchronize() == Err(ESHUTDOWN) {
                signal.open();
            }
        })?;
        let (g, ran) = (gate.clone(), other_ran.clone());
        domain.schedule(GFP_KERNEL, move |_| {
            g.wait();
            settle();
            ran.store(1, Relaxed);
        })?;
        drop(domain);
        gate.open();
        dropped.wait();
        // The other task was waited for.
        assert_eq!(other_seen.load(Relaxed), 1);
        Ok(())
    }
}
