// SPDX-License-Identifier: GPL-2.0

//! In-flight tokens: cookies without a function, for work that hardware does.

use crate::{
    domain::core::{
        cookie::Cookie,
        domain::AsyncDomain,
        header::InFlight,
        module_refs::{
            is_held_by,
            Caller,
            ModuleRefs, //
        },
        pending::{
            flag,
            Node, //
        }, //
    },
    ffi, //
};
use core::ptr::NonNull;
use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// Something that is in flight: a place in a domain's order, without a function.
///
/// Hardware that answers by interrupt takes part in a domain with a token: take one with
/// [`AsyncDomain::begin`] when the command is issued, and finish or drop it when the answer comes.
/// No worker is blocked in the meantime.
///
/// A token may be finished in any context, hard interrupts included. A token that is leaked keeps
/// its domain undrained, and the modules that it needs loaded; dropping the domain then waits for
/// ever.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, AsyncDomain};
///
/// fn command(domain: &AsyncDomain) -> Result {
///     let token = domain.begin(GFP_KERNEL)?;
///     let cookie = token.cookie();
///     // ... the interrupt handler does this:
///     token.finish();
///     // ... and whoever needs the answer, this:
///     domain.synchronize(..=cookie)
/// }
///
/// let domain = new_async_domain!("commands", GFP_KERNEL)?;
/// command(&domain)?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `0` is a valid `InFlight` that is in the order of its domain, and ours.
#[must_use = "dropping a token finishes it"]
pub struct Token(NonNull<InFlight>);

impl InFlight {
    /// Takes what is in flight out of the order of its domain.
    ///
    /// # Safety
    ///
    /// `this` must be that of a token that is not used any more.
    // Tested by: kunit dropping_finishes, kunit finished_by_a_timer_interrupt.
    unsafe fn finish(this: *mut Self) {
        // SAFETY: By the invariant of the token. The domain is not dropped before the node is removed.
        unsafe {
            (*(*this).domain).finish_elsewhere(&raw mut (*this).node, || (*this).modules.put());
            drop(KBox::from_raw(this));
        }
    }
}

#[cfg(CONFIG_PREEMPT_RT)]
// SAFETY: `run` does not touch the work item after it has been freed.
// Tested by: kunit finished_by_a_timer_interrupt, test torture.
unsafe impl ffi::WorkFunction for InFlight {
    type Item = Self;

    // Tested by: kunit finished_by_a_timer_interrupt, test torture.
    unsafe fn run(this: NonNull<Self>) {
        // SAFETY: Its token is gone.
        unsafe { Self::finish(this.as_ptr()) };
    }
}

// SAFETY: A token may be finished by any thread: everything that it does is done under the lock of
// its domain, or is the kernel's.
// Tested by: kunit finished_by_a_timer_interrupt.
unsafe impl Send for Token {}
// SAFETY: Through a shared reference only the cookie can be read, which does not change.
// Tested by: kunit finished_by_a_timer_interrupt.
unsafe impl Sync for Token {}

impl Token {
    /// See [`AsyncDomain::begin`].
    // Tested by: kunit out_of_memory_gives_the_closure_back, kunit past_the_limit_submission_fails.
    pub(crate) fn begin(
        domain: &AsyncDomain,
        flags: Flags,
        submitter: Caller,
        begun_at: usize,
    ) -> Result<Self> {
        // SAFETY: The code of that module is running.
        let shared = unsafe { is_held_by(domain, submitter.as_ptr()) };
        let modules = if shared {
            ModuleRefs::none()
        } else {
            ModuleRefs::with_owner(submitter, domain)?
        };
        let in_flight = KBox::new(
            InFlight {
                node: Node::new(if shared { flag::SHARED } else { 0 }),
                domain,
                begun_at,
                modules,
                #[cfg(CONFIG_PREEMPT_RT)]
                work: kernel::types::Opaque::uninit(),
            },
            flags,
        )?;
        let ptr = KBox::into_raw(in_flight);

        // SAFETY: The node is valid and stays so until it is removed: either it is not linked, and
        // the box is dropped, or it belongs to the token, which removes it before it frees it.
        match unsafe { domain.link(&raw mut (*ptr).node, |_| ()) } {
            // INVARIANT: The node has just been linked.
            // SAFETY: The pointer comes from a box.
            Ok(_) => Ok(Self(unsafe { NonNull::new_unchecked(ptr) })),
            Err(e) => {
                // SAFETY: The pointer comes from `into_raw` above.
                drop(unsafe { KBox::from_raw(ptr) });
                Err(e)
            }
        }
    }

    /// The cookie of what is in flight.
    // Tested by: kunit finished_by_a_timer_interrupt.
    pub fn cookie(&self) -> Cookie {
        // SAFETY: By the type invariant; the cookie does not change while the node is linked.
        unsafe { Node::cookie_of(&raw const (*self.0.as_ptr()).node) }
    }

    /// Counts as finished from now on. Dropping the token does the same.
    ///
    /// May be called in any context, hard interrupts included. With `PREEMPT_RT`, in a context in which locks
    /// cannot sleep, a worker does it, soon: who needs to know waits for the cookie.
    pub fn finish(self) {
        drop(self)
    }
}

impl Drop for Token {
    // Tested by: kunit dropping_finishes, kunit finished_by_a_timer_interrupt.
    fn drop(&mut self) {
        let this = self.0.as_ptr();

        #[cfg(CONFIG_PREEMPT_RT)]
        // SAFETY: The work item is in memory of ours, which the work function frees. It never waits.
        if unsafe { crate::queue::defer::<InFlight>(&*this) } {
            return;
        }

        // SAFETY: By the type invariant; the token is being dropped.
        ffi::with_spin_locks(|| unsafe { InFlight::finish(this) })
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_token)]
mod tests {
    use super::*;
    use crate::kunit::{
        domain,
        Interrupt,
        Thread, //
    };
    use kernel::time::Delta;

    #[test]
    fn finished_by_a_timer_interrupt() -> Result {
        let domain = domain()?;

        for _ in 0..10 {
            let token = domain.begin(GFP_KERNEL)?;
            let after = token.cookie().next();
            let mut token = Some(token);
            let answer = move || drop(token.take());

            Interrupt::during(Delta::from_millis(5), answer, || {
                domain.synchronize(..after)
            })??;
        }
        let stats = domain.stats();
        assert_eq!((stats.submitted, stats.finished), (10, 10));
        assert_eq!(stats.spurious, 0);
        Ok(())
    }

    #[test]
    fn dropping_finishes() -> Result {
        let domain = domain()?;

        drop(domain.begin(GFP_KERNEL)?);
        assert_eq!(domain.lowest_in_progress(), None);
        // In another thread than the one that began it.
        let token = domain.begin(GFP_KERNEL)?;
        Thread::spawn(move || token.finish())?.join();
        domain.synchronize(..)
    }
}
