// SPDX-License-Identifier: GPL-2.0

//! A domain, and what its lock protects.

use super::{
    cookie::{
        AllBelow,
        Cookie, //
    },
    name::Name,
    pending::Pending, //
};
use crate::{
    ffi,
    wait::WaitQueue, //
};
use core::{
    cell::Cell,
    marker::PhantomPinned,
    ptr, //
};
use kernel::{
    device::Device,
    prelude::*,
    sync::{
        atomic::Atomic,
        LockClassKey, //
    },
    types::Opaque, //
};

/// How many unfinished tasks a domain may have unless it is told otherwise (C's `MAX_WORK`).
pub const DEFAULT_LIMIT: usize = 32768;

/// A domain of asynchronously running tasks.
///
/// A domain stays where it is, and is used by reference. There are three owners, which all dereference to
/// it: [`OwnedDomain`](crate::OwnedDomain) on the heap, [`StaticDomain`](crate::StaticDomain), and
/// [`DeviceDomain`](crate::DeviceDomain), which ends with the binding of a device. Dropping the owner refuses
/// new tasks and waits for the others.
///
/// # Examples
///
/// Two slow things at a time, which are seen in the order in which they were asked for:
///
/// ```
/// use async_domain::{new_async_domain, AsyncDomain, Submit};
///
/// fn bring_up(domain: &AsyncDomain) -> Result {
///     for i in 0..2 {
///         domain.schedule(GFP_KERNEL, move |context| {
///             // ... the slow part, in parallel ...
///             if context.synchronize().is_ok() {
///                 pr_info!("device {i} is there\n");
///             }
///         })?;
///     }
///     domain.synchronize(..)
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
    pub(crate) queue: WaitQueue<State, AllBelow>,
    pub(crate) waiter: DispatcherWait,
    pub(crate) registry: RegistryLinks,
    pub(crate) exclusive: bool,
    pub(crate) owner: Atomic<*mut ffi::module>,
    /// The device to whose binding the domain belongs, or null. Does not change after initialisation.
    pub(crate) device: *const Device,
    pub(crate) lockdep: Opaque<ffi::lockdep_map>,
    /// What the domain was called, as a C string.
    pub(crate) name: Name,
    _pin: PhantomPinned,
}

/// What the lock of a domain protects.
pub(crate) struct State {
    pub(crate) pending: Pending,
    /// The number of the dispatcher that is on the workqueue; [`DISPATCHER_WANTED`] if there was none, and
    /// the domain waits, or was given one since; or [`NO_DISPATCHER`], if no task is queued.
    pub(crate) dispatcher: u32,
    pub(crate) unfinished: usize,
    /// How many of them share the reference that the domain holds on its owner meanwhile.
    pub(crate) shared: usize,
    pub(crate) limit: usize,
    pub(crate) submitted: u64,
    pub(crate) error: Option<(Cookie, Error)>,
    pub(crate) pins: usize,
    pub(crate) closed: bool,
}

/// What a domain has done since it was made.
///
/// # Examples
///
/// ```
/// use async_domain::{new_async_domain, Stats, Submit};
///
/// let domain = new_async_domain!("ports", GFP_KERNEL)?;
/// domain.schedule(GFP_KERNEL, |_| pr_info!("a port\n"))?;
/// domain.synchronize(..)?;
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
    pub(crate) fn frontier(&self) -> Cookie {
        match self.pending.lowest() {
            Some(lowest) => lowest,
            None if self.pins > 0 => Cookie::IDLE,
            None => Cookie::UNUSED,
        }
    }
}

impl AsyncDomain {
    /// Initialises a domain in place.
    ///
    /// # Safety
    ///
    /// `slot` must be valid for writing, and what it holds be treated as pinned from then on.
    /// `owner` must be null or the module that makes the domain.
    // Tested by: kunit all_means_all_registered_domains, kunit unfinished_tasks_hold_their_module.
    pub(crate) unsafe fn init_raw(
        slot: *mut Self,
        name: &'static CStr,
        keys: [Pin<&'static LockClassKey>; 2],
        exclusive: bool,
        owner: *mut ffi::module,
    ) {
        let state = State {
            pending: Pending::new(),
            dispatcher: NO_DISPATCHER,
            unfinished: 0,
            shared: 0,
            limit: DEFAULT_LIMIT,
            submitted: 0,
            error: None,
            pins: 0,
            closed: false,
        };

        // SAFETY: `slot` is valid for writing and pinned; name and keys are static.
        // INVARIANT: The caller promises that `owner` is the module that makes the domain. A
        // module's notifier takes its domains out of the registry when it goes, and each task holds
        // a reference on it.
        unsafe {
            WaitQueue::init_raw(&raw mut (*slot).queue, state, name, keys[0]);
            (&raw mut (*slot).waiter).write(DispatcherWait::new());
            (&raw mut (*slot).registry).write(RegistryLinks::new());
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
    pub(crate) fn owner(&self) -> *mut ffi::module {
        ffi::read_once(&self.owner)
    }

    /// The name of the domain, a C string.
    pub(crate) fn name(&self) -> *const c_char {
        self.name.as_char_ptr()
    }

    pub(crate) fn frontier(&self) -> Cookie {
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

    /// Pins the domain: it is not dropped before [`Self::unpin`]. [`synchronize_all`](crate::synchronize_all) does that to what it waits for.
    pub(crate) fn pin(&self) {
        self.queue.with(|state| state.pins += 1);
    }

    /// Gives up a pin. The domain may be gone when this returns.
    pub(crate) fn unpin(&self) {
        self.queue.with(|state| {
            state.pins -= 1;
            // There is nobody to retire: the frontier has not moved past a task.
            let mut frontier = state.frontier();
            state.wake(&mut frontier);
        });
    }
}

/// In place of the number of a dispatcher: there is none.
pub(crate) const NO_DISPATCHER: u32 = u32::MAX;

/// The same, and a domain waits for one, or did.
pub(crate) const DISPATCHER_WANTED: u32 = u32::MAX - 1;

/// The part of a domain that is used while it waits for a dispatcher.
///
/// # Invariants
///
/// - Touched under the lock of [`WAITING`] only.
/// - While the domain waits, `given` is [`NO_DISPATCHER`], and the neighbours are valid or null. Then `given` is the
///   number of the dispatcher that the domain was given.
pub(crate) struct DispatcherWait {
    pub(crate) given: Cell<u32>,
    /// The node for which the first queued task was.
    pub(crate) nid: Cell<c_int>,
    pub(crate) prev: Cell<*const AsyncDomain>,
    pub(crate) next: Cell<*const AsyncDomain>,
}

impl DispatcherWait {
    pub(crate) const fn new() -> Self {
        Self {
            given: Cell::new(NO_DISPATCHER),
            nid: Cell::new(ffi::NUMA_NO_NODE),
            prev: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
        }
    }
}

/// The part of a domain that the registry uses.
///
/// # Invariants
///
/// Touched under the registry's lock only. While `linked`, the domain is in the list, and its
/// neighbours are valid or null.
pub(crate) struct RegistryLinks {
    pub(crate) linked: Cell<bool>,
    pub(crate) prev: Cell<*const AsyncDomain>,
    pub(crate) next: Cell<*const AsyncDomain>,
    /// From 1 on, in the order in which domains are entered: the list is sorted by it, highest first.
    pub(crate) number: Cell<u64>,
}

impl RegistryLinks {
    /// Makes links for a domain that is not in the registry.
    pub(crate) const fn new() -> Self {
        Self {
            linked: Cell::new(false),
            prev: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
            number: Cell::new(0),
        }
    }
}
