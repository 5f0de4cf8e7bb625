// SPDX-License-Identifier: GPL-2.0

//! Waiting for all domains.

use crate::{
    domain::core::{
        cookie::Cookie,
        registry,
        running::RunningTask, //
    },
    errno::EDEADLK,
    wait::WaitMode, //
};
use kernel::prelude::*;

/// Waits until all registered domains, one after the other, have been seen empty, over and over
/// until all of them were found so at the first look (C's `async_synchronize_full()`).
///
/// Tasks of exclusive domains are not waited for.
///
/// # Errors
///
/// `EDEADLK`: the calling thread is inside a task of a domain that is not exclusive.
///
/// # Context
///
/// Process context; may sleep.
pub fn synchronize_all() -> Result {
    if registry::locked(|registry| {
        RunningTask::any(|run| {
            run.registered_domain(registry)
                .is_some_and(|domain| !domain.exclusive)
        })
    }) {
        return Err(EDEADLK);
    }
    while visit_all()? {}
    Ok(())
}

/// Waits for each registered domain in turn; returns whether there was anything to wait for.
fn visit_all() -> Result<bool> {
    let mut waited = false;
    let mut current = registry::locked(|registry| registry.pin_after(None));

    while let Some(domain) = current {
        let ret = if domain.frontier() < Cookie::IDLE {
            waited = true;
            domain.synchronize_with(WaitMode::UNINTERRUPTIBLE, ..)
        } else {
            Ok(())
        };

        current = registry::locked(|registry| {
            // It is still in the list, since it is pinned.
            let next = match ret {
                Ok(()) => registry.pin_after(Some(&domain)),
                Err(_) => None,
            };

            domain.unpin(registry);
            next
        });
        ret?;
    }
    Ok(waited)
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_registry)]
mod tests {
    use super::*;
    use crate::kunit::{
        eventually,
        settle,
        Thread, //
    };
    use crate::{
        AsyncDomain,
        Submit, //
    };

    crate::static_domain!(static REGISTERED);
    crate::static_domain!(static EXCLUSIVE, exclusive);

    #[test]
    fn all_means_all_registered_domains() -> Result {
        let heap = crate::kunit::domain()?;
        let exclusive = crate::new_async_domain!("kunit", exclusive, GFP_KERNEL)?;
        let _left_alone = (exclusive.begin(GFP_KERNEL)?, EXCLUSIVE.begin(GFP_KERNEL)?);
        assert_eq!(synchronize_all(), Ok(()));

        for domain in [&*REGISTERED, &*heap] {
            let token = domain.begin(GFP_KERNEL)?;
            let waits = domain.stats().waits;
            let waiter = Thread::spawn(synchronize_all)?;
            assert!(eventually(|| domain.stats().waits == waits + 1));
            token.finish();
            assert_eq!(waiter.join(), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn tasks_of_exclusive_domains_can_wait_for_all() -> Result {
        assert_eq!(
            EXCLUSIVE
                .schedule_with_handle(GFP_KERNEL, |_| synchronize_all())?
                .join(),
            Ok(Ok(()))
        );
        assert_eq!(
            REGISTERED
                .schedule_with_handle(GFP_KERNEL, |_| synchronize_all())?
                .join(),
            Ok(Err(EDEADLK))
        );
        Ok(())
    }

    #[test]
    fn a_visited_domain_is_not_dropped() -> Result {
        let domain = crate::new_async_domain!("kunit", GFP_KERNEL)?;
        let token = domain.begin(GFP_KERNEL)?;
        // A pin that is slow to go.
        domain.pin();
        // SAFETY: It is not used after the thread below has dropped it.
        let pinned: &'static AsyncDomain = unsafe { &*core::ptr::from_ref(&*domain) };
        let dropper = Thread::spawn(move || drop(domain))?;

        token.finish();
        settle();
        assert_eq!(pinned.frontier(), Cookie::IDLE);
        pinned.unpin();
        dropper.join();
        Ok(())
    }

    #[test]
    fn domains_come_and_go_during_visits() -> Result {
        let other = Thread::spawn(|| (0..50).try_for_each(|_| synchronize_all()))?;

        for _ in 0..50 {
            let domain = crate::new_async_domain!("kunit", GFP_KERNEL)?;
            domain.schedule(GFP_KERNEL, |_| ())?;
            let _token = domain.begin(GFP_KERNEL)?;
        }
        assert_eq!(other.join(), Ok(()));
        Ok(())
    }
}
