// SPDX-License-Identifier: GPL-2.0

//! Async domains: functions that run in parallel, and whose visible effects happen in order.
//!
//! # Theory of operation
//!
//! A domain gives each task that is submitted to it a *sequence cookie*. Cookies only increase, and
//! a domain keeps its unfinished tasks in a list, so that the first of the list has the lowest
//! cookie in progress: the *frontier*. All tasks below the frontier are done.
//!
//! Who waits for a cookie waits for the frontier to reach it. The waiter's cookie is in its wait
//! entry, waiters are sorted by it, and when the frontier moves, the waker walks from the lowest
//! waiter up to the first one that is above the frontier, and wakes those that it passes. A task
//! that finishes without moving the frontier walks nobody; nobody is woken to find that it must
//! sleep again.
//!
//! ```text
//!   pending   [17] [18] [19] [20]          waiters   [18] [19] [20]
//!              ^ frontier = 17
//!   18 ends:  nothing moves, nobody is walked
//!   17 ends:  frontier = 19                wakes 18 and 19, stops at 20
//! ```
//!
//! The lock of the wait queue's own head protects the list as well, so that to submit a task takes
//! one lock, to finish it one, and to wait one. Domains share nothing but the counter that cookies
//! come from.
//!
//! Tasks begin in cookie order too, on whatever NUMA nodes. A domain has one item on the workqueue at a time,
//! which stands for all queued tasks; `domain/dispatch.rs` says how they are shared out, and why tasks that
//! wait for earlier ones cannot exhaust what those need.
//!
//! What a task does to be seen, it does after [`Context::synchronize`], which waits for all tasks
//! with lower cookies: the parallel parts overlap, the visible parts happen in cookie order.
//!
//! # Context
//!
//! What may be called *in any context* may be called with interrupts off and in hard interrupts. With
//! `PREEMPT_RT`, where a wait queue's lock sleeps, it may be called where a sleeping lock may be taken,
//! but a [`Token`] or [`ItemToken`] may be finished anywhere: a worker does what cannot be done there.
//!
//! # Lockdep
//!
//! A task runs as if it held a lock of its domain, which draining the domain takes, so that lockdep
//! sees a drain under a lock that a task takes. The lock's class is that of the place in the source
//! where the domain is made: a task that drains another domain which was made in the same place looks
//! like one that drains its own. Make domains that wait for each other in different places.
//!
//! The manual has the [life of a task](manual/design.html#life-of-a-task), [when to use
//! what](manual/interface.html), [scenarios](manual/scenarios.html), and [what is seen by
//! whom](manual/memory-ordering.html).
//!
//! Source: [`kernel/async.c`](srctree/kernel/async.c),
//! [`include/linux/async.h`](srctree/include/linux/async.h)

mod batch;
mod binding;
mod cancel;
mod closure;
mod context;
mod cookie;
#[cfg(CONFIG_DEBUG_FS)]
mod debugfs;
mod device;
mod dispatch;
mod dispatcher;
mod error;
mod executor;
mod fixed;
mod future;
mod handle;
mod header_token;
#[cfg_attr(not(CONFIG_DEBUG_FS), allow(dead_code))]
mod inspect;
mod item;
mod item_token;
mod modules;
mod name;
mod order;
mod overdue;
mod own;
mod owned;
mod pending;
mod placed;
mod registry;
mod running;
mod scope;
mod spawn;
mod submit;
mod synchronize;
mod task;
mod token;
mod trace;
mod unload;
mod worker_id;

pub(crate) use binding::Devices;
#[cfg(CONFIG_DEBUG_FS)]
pub(crate) use debugfs::DebugFs;
pub(crate) use own::LastSteps;
pub(crate) use running::Death;
pub(crate) use unload::OwnerGone;

pub use context::Context;
pub use cookie::Cookie;
pub use device::DeviceDomain;
pub use error::SubmitError;
pub use fixed::StaticDomain;
pub use future::Wait;
pub use handle::Handle;
pub use item::{
    HasTask,
    TaskHeader,
    TaskItem,
    TaskPointer, //
};
pub use item_token::ItemToken;
pub use owned::OwnedDomain;
pub use placed::Placed;
pub use registry::synchronize_all;
pub use scope::Scope;
pub use token::Token;

use crate::{
    ffi,
    wait::WaitQueue, //
};
use cookie::AllBelow;
use core::{
    marker::PhantomPinned,
    ptr, //
};
use kernel::{
    device::Device,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        LockClassKey, //
    },
    types::Opaque, //
};
use name::Name;
use pending::Pending;
use running::Run;

/// How many unfinished tasks a domain may have unless it is told otherwise (C's `MAX_WORK`).
pub const DEFAULT_LIMIT: usize = 32768;

/// A domain of asynchronously running tasks.
///
/// A domain stays where it is, and is used by reference. There are three owners, which all dereference to
/// it: [`OwnedDomain`] on the heap, [`StaticDomain`], and [`DeviceDomain`], which ends with the binding of
/// a device. Dropping the owner refuses new tasks and waits for the others.
///
/// # Examples
///
/// Two slow things at a time, which are seen in the order in which they were asked for:
///
/// ```
/// use async_domain::{new_async_domain, AsyncDomain};
///
/// fn bring_up(domain: &AsyncDomain) -> Result {
///     for i in 0..2 {
///         domain.schedule(
///             move |context| {
///                 // ... the slow part, in parallel ...
///                 if context.synchronize().is_ok() {
///                     pr_info!("device {i} is there\n");
///                 }
///             },
///             GFP_KERNEL,
///         )?;
///     }
///     domain.synchronize_full()
/// }
///
/// bring_up(&*new_async_domain!("bring_up", GFP_KERNEL)?)?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `owner` is null or the module in which the domain was made, which is valid: it is set to null
/// before that module's memory is freed.
pub struct AsyncDomain {
    queue: WaitQueue<State, AllBelow>,
    waiter: dispatcher::Waiter,
    registry: registry::Links,
    exclusive: bool,
    owner: Atomic<*mut ffi::module>,
    /// The device to whose binding the domain belongs, or null. Does not change after initialisation.
    device: *const Device,
    lockdep: Opaque<ffi::lockdep_map>,
    /// What the domain was called, as a C string.
    name: Name,
    _pin: PhantomPinned,
}

/// What the lock of a domain protects.
struct State {
    pending: Pending,
    /// The number of the dispatcher that is on the workqueue; [`dispatcher::WANTED`] if there was none, and
    /// the domain waits, or was given one since; or [`dispatcher::NONE`], if no task is queued.
    dispatcher: u32,
    unfinished: usize,
    /// How many of them share the reference that the domain holds on its owner meanwhile.
    shared: usize,
    limit: usize,
    submitted: u64,
    error: Option<(Cookie, Error)>,
    visitors: usize,
    closed: bool,
}

/// What a domain has done since it was made.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, Stats};
///
/// let domain = new_async_domain!("ports", GFP_KERNEL)?;
/// domain.schedule(|_| pr_info!("a port\n"), GFP_KERNEL)?;
/// domain.synchronize_full()?;
///
/// let stats: Stats = domain.stats();
/// assert_eq!((stats.submitted, stats.finished, stats.spurious), (1, 1, 0));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tasks and tokens that were submitted.
    pub submitted: u64,
    /// Tasks and tokens that are done.
    pub finished: u64,
    /// Waits that went to sleep.
    pub waits: u64,
    /// Waiters that were woken because what they waited for was done.
    pub wakeups: u64,
    /// Waiters that a finishing task looked at and left asleep.
    pub skipped: u64,
    /// Waiters that ran and had to sleep again.
    pub spurious: u64,
}

// SAFETY: The domain is pinned while it is used; what it points to may be used by any thread.
// Tested by: nothing: no type that a user chooses is in it.
unsafe impl Send for AsyncDomain {}
// SAFETY: The state is only touched under the lock, the links under the registry's, the waiter under that of the
// domains that wait; the owner is an atomic, and the lockdep map is only used by lockdep, which has its own lock.
// Tested by: nothing: no type that a user chooses is in it.
unsafe impl Sync for AsyncDomain {}

impl State {
    /// The lowest cookie in progress, or what stands for it if there is none.
    #[inline]
    fn frontier(&self) -> Cookie {
        match self.pending.lowest() {
            Some(lowest) => lowest,
            None if self.visitors > 0 => Cookie::IDLE,
            None => Cookie::UNUSED,
        }
    }
}

impl AsyncDomain {
    /// An initialiser of a domain, which enters it into the registry.
    ///
    /// # Safety
    ///
    /// The domain must be dropped before its memory is freed, which a pinned initialiser alone does not
    /// guarantee. `owner` must be null or the module that makes the domain.
    // Tested by: nothing: ; every boot runs it.
    unsafe fn init(
        name: &'static CStr,
        keys: [Pin<&'static LockClassKey>; 2],
        exclusive: bool,
        owner: *mut ffi::module,
    ) -> impl PinInit<Self> {
        let init = move |slot: *mut Self| {
            // SAFETY: `slot` is valid for writing, and pinned from now on, since this is a pinned
            // initialiser. The caller promises the rest: that `owner` makes the domain, and that it is
            // dropped, and so leaves the registry, before it is gone.
            unsafe {
                Self::init_raw(slot, name, keys, exclusive, owner);
                registry::locked(|| registry::enter(&*slot));
            }
            Ok(())
        };

        // SAFETY: `init_raw` initialises all fields, and does not fail.
        unsafe { pin_init::pin_init_from_closure(init) }
    }

    /// Initialises a domain in place.
    ///
    /// # Safety
    ///
    /// `slot` must be valid for writing, and what it holds be treated as pinned from then on.
    /// `owner` must be null or the module that makes the domain.
    // Tested by: kunit all_means_all_registered_domains, kunit unfinished_tasks_hold_their_module.
    unsafe fn init_raw(
        slot: *mut Self,
        name: &'static CStr,
        keys: [Pin<&'static LockClassKey>; 2],
        exclusive: bool,
        owner: *mut ffi::module,
    ) {
        let state = State {
            pending: Pending::new(),
            dispatcher: dispatcher::NONE,
            unfinished: 0,
            shared: 0,
            limit: DEFAULT_LIMIT,
            submitted: 0,
            error: None,
            visitors: 0,
            closed: false,
        };

        // SAFETY: `slot` is valid for writing and pinned; name and keys are static.
        // INVARIANT: The caller promises that `owner` is the module that makes the domain. A
        // module's notifier takes its domains out of the registry when it goes, and each task holds
        // a reference on it.
        unsafe {
            WaitQueue::init_raw(&raw mut (*slot).queue, state, name, keys[0]);
            (&raw mut (*slot).waiter).write(dispatcher::Waiter::new());
            (&raw mut (*slot).registry).write(registry::Links::new());
            (&raw mut (*slot).exclusive).write(exclusive);
            (&raw mut (*slot).owner).write(Atomic::new(owner));
            (&raw mut (*slot).device).write(ptr::null());
            ffi::lockdep_init_map(
                Opaque::cast_into(&raw const (*slot).lockdep),
                name.as_char_ptr(),
                keys[1].as_ptr(),
            );
            (&raw mut (*slot).name).write(Name::new(name));
        }
    }

    /// The module that made the domain; null if it is gone, or is the kernel itself.
    #[inline]
    fn owner(&self) -> *mut ffi::module {
        ffi::read_once(&self.owner)
    }

    /// The module that made the domain goes, while another one still holds the domain: it is closed for
    /// good. Nothing in it is that module's any more, lock classes included.
    ///
    /// The domain must not have a task.
    // Tested by: mutant disowned-keeps-classes, kunit a_disowned_domain_has_nothing_of_its_maker.
    fn disown(&self) {
        self.close();
        self.queue
            .reclass(c"disowned async_domain", static_lock_class!());
        // SAFETY: The map was initialised with the domain; name and key are static.
        unsafe {
            ffi::lockdep_reclass(
                self.lockdep.get(),
                c"disowned async_domain task".as_char_ptr(),
                static_lock_class!().as_ptr(),
            );
        }
        self.owner.store(ptr::null_mut(), Relaxed);
    }

    /// The name of the domain, a C string.
    fn name(&self) -> *const c_char {
        self.name.as_char_ptr()
    }

    fn registry(&self) -> &registry::Links {
        &self.registry
    }

    fn frontier(&self) -> Cookie {
        self.queue.with(|state| state.frontier())
    }

    /// The lowest cookie in progress: all tasks below it are done. `None` if the domain is empty.
    pub fn lowest_in_progress(&self) -> Option<Cookie> {
        self.queue.with(|state| state.pending.lowest())
    }

    /// Refuses new tasks and tokens from now on, with `ESHUTDOWN`. Those that were submitted go on.
    ///
    /// May be called in any context.
    pub fn close(&self) {
        self.queue.with(|state| state.closed = true);
    }

    /// Sets how many unfinished tasks and tokens the domain may have; more are refused with
    /// `EAGAIN`. [`DEFAULT_LIMIT`] until this is called.
    ///
    /// May be called in any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::new_async_domain;
    ///
    /// let domain = new_async_domain!("commands", GFP_KERNEL)?;
    /// domain.set_limit(1);
    ///
    /// let token = domain.begin(GFP_KERNEL)?;
    /// assert_eq!(domain.lowest_in_progress(), Some(token.cookie()));
    /// assert!(matches!(domain.begin(GFP_KERNEL), Err(e) if e == EAGAIN));
    /// token.finish();
    ///
    /// domain.close();
    /// assert!(domain.begin(GFP_KERNEL).is_err());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_limit(&self, limit: usize) {
        self.queue.with(|state| state.limit = limit);
    }

    /// What the domain has done so far. May be called in any context.
    pub fn stats(&self) -> Stats {
        self.queue.with(|state| {
            let counts = state.counts();

            Stats {
                submitted: state.submitted,
                // CAST: `usize` is at most 64 bits wide.
                finished: state.submitted - state.unfinished as u64,
                waits: counts.waits,
                wakeups: counts.wakeups,
                skipped: counts.skipped,
                spurious: counts.spurious,
            }
        })
    }

    /// Begins a visit of [`synchronize_all`], during which the domain is not dropped.
    fn visit(&self) {
        self.queue.with(|state| state.visitors += 1);
    }

    /// Ends a visit. The domain may be gone when this returns.
    fn end_visit(&self) {
        self.queue.with(|state| {
            state.visitors -= 1;
            // There is nobody to retire: the frontier has not moved past a task.
            let mut frontier = state.frontier();
            state.wake(&mut frontier);
        });
    }
}

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
            let own = Run::detach(this, |node| {
                // SAFETY: The node of a task that runs and is attached is in the list.
                unsafe {
                    state.detach(node, self.owner());
                    trace::task_finish(self, state, node);
                }
            });
            let next = if own > 0 { order::advance(state) } else { None };
            (own, next)
        });

        if let Some(task) = next {
            // SAFETY: The task belongs to us, and was left by its worker when it became ready.
            unsafe { task::Task::retire_elsewhere(task) };
        }
        if own > 0 {
            pr_warn!("a task drops its own domain, which cannot wait for it\n");
        } else {
            self.lockdep_drain();
        }
        self.wait_unused("which is being dropped");
        registry::leave(self);
        if let Some((cookie, error)) = self.take_error() {
            Self::log_unseen_error(cookie, error);
        }
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain)]
mod tests {
    use super::*;
    use crate::errno::ESHUTDOWN;
    use crate::kunit::{
        domain,
        settle,
        Gate, //
    };
    use kernel::sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    };

    #[test]
    fn cookies_increase_over_all_domains() -> Result {
        let (a, b) = (domain()?, domain()?);
        let mut last = a.schedule(|_| (), GFP_KERNEL)?;

        for _ in 0..100 {
            let now = Cookie::now();
            let in_b = b.schedule(|_| (), GFP_KERNEL)?;
            let in_a = a.begin(GFP_KERNEL)?.cookie();
            assert!(last < now && now <= in_b && in_b < in_a);
            last = in_a;
        }
        a.synchronize_full().and(b.synchronize_full())
    }

    #[test]
    fn drop_drains_and_refuses() -> Result {
        let domain = crate::new_async_domain!("kunit", GFP_KERNEL)?;
        let gate = Gate::new()?;
        let done = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;

        for _ in 0..8 {
            let (g, d) = (gate.clone(), done.clone());
            domain.schedule(
                move |_| {
                    g.wait();
                    settle();
                    d.add(1, Relaxed);
                },
                GFP_KERNEL,
            )?;
        }
        domain.close();
        let refused = domain.schedule(|_| (), GFP_KERNEL);
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
        domain.synchronize_full()?;
        registry::locked(|| domain.disown());
        // Lockdep forgets the classes. It would report a domain that still had one of them.
        drop(keys);
        assert!(matches!(domain.begin(GFP_KERNEL), Err(e) if e == ESHUTDOWN));
        domain.synchronize_full()?;
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
        domain.schedule(
            move |context| {
                g.wait();
                // The last reference: the others have been given up.
                drop(d);
                seen.store(ran.load(Relaxed), Relaxed);
                if context.synchronize() == Err(ESHUTDOWN) {
                    signal.open();
                }
            },
            GFP_KERNEL,
        )?;
        let (g, ran) = (gate.clone(), other_ran.clone());
        domain.schedule(
            move |_| {
                g.wait();
                settle();
                ran.store(1, Relaxed);
            },
            GFP_KERNEL,
        )?;
        drop(domain);
        gate.open();
        dropped.wait();
        // The other task was waited for.
        assert_eq!(other_seen.load(Relaxed), 1);
        Ok(())
    }
}
