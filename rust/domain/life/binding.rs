// SPDX-License-Identifier: GPL-2.0

//! The binding of a device to its driver, and the domains that end with it.
//!
//! # Why it holds
//!
//! A handle that is dropped waits for its tasks. That is not enough: a handle may be leaked, and
//! device-managed resources may be released before it is dropped. So the domain proper belongs to this
//! module, which is told by the driver core when a binding ends, and waits for the tasks then:
//!
//! - `BUS_NOTIFY_UNBIND_DRIVER` comes before the driver's `remove()`, before its private data is
//!   dropped and its device-managed resources are released. `BUS_NOTIFY_DRIVER_NOT_BOUND` comes when a
//!   probe has failed, before the same. One notifier for each bus listens to both.
//! - A domain that is made after the notification would be missed: in the driver's `remove()`, or in the
//!   destructor of its private data. The driver core says by the state of the device's links that
//!   the device is being unbound, before it notifies; domains are refused then. A failed probe says so
//!   a little later than it notifies. That window is closed by a device-managed action for each domain that
//!   is made while the device is being probed, which ends this domain and no other: the driver core also
//!   runs an action that it could not register.
//! - With `CONFIG_DEBUG_TEST_DRIVER_REMOVE`, a test of the driver core, drivers are removed once without
//!   a notification: domains are refused for drivers that are tested so.
//! - A task that unbinds its own device would have the notification wait for the task itself. It does,
//!   for ever, after it was reported: there is no way to go on, since the task has the device in its
//!   hands.
//!
//! C header: [`include/linux/device/bus.h`](srctree/include/linux/device/bus.h)

use crate::{
    domain::core::{
        domain::AsyncDomain,
        this_module::ThisModuleRef, //
    },
    errno::{
        EDEADLK,
        EOPNOTSUPP,
        ESHUTDOWN, //
    },
    ffi,
    wait::assert_can_sleep, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    devres,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        global_lock,
        Arc,
        LockClassKey, //
    },
    types::ScopeGuard, //
};

/// The domain proper.
///
/// # Invariants
///
/// Until it is closed and has no unfinished task, it is in [`DOMAINS`], or on its way out of there in the
/// hands of somebody who waits for its tasks while the device is still bound.
#[pin_data]
pub(crate) struct Binding {
    // Before the keys that it uses.
    #[pin]
    domain: AsyncDomain,
    #[pin]
    lock_key: LockClassKey,
    #[pin]
    task_key: LockClassKey,
    device: ARef<Device>,
    bus: Bus,
    /// Tells it from all others there are, and were.
    number: u64,
}

/// The number of the last one.
static LAST_NUMBER: Atomic<u64> = Atomic::new(0);

/// The address of a bus; only compared, or given to the kernel, which compares it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Bus(*const ffi::bus_type);

// SAFETY: It is not followed.
// Tested by: nothing.
unsafe impl Send for Bus {}
// SAFETY: As above.
// Tested by: nothing.
unsafe impl Sync for Bus {}

global_lock! {
    // SAFETY: Initialised in `Devices::new`, before any consumer is loaded.
    // Tested by: kunit unbinding_waits_for_the_tasks.
    unsafe(uninit) static DOMAINS: Mutex<KVec<Arc<Binding>>> = KVec::new();
}

global_lock! {
    // SAFETY: As above. Outside of `DOMAINS`, and not taken by notifiers, which wait for those who have
    // registered them.
    // Tested by: kunit unbinding_waits_for_the_tasks.
    unsafe(uninit) static BUSES: Mutex<KVec<(Bus, ffi::BusNotifier<Unbinding>)>> = KVec::new();
}

pub(crate) fn raw(device: &Device) -> *mut ffi::device {
    // CAST: `Device` is a transparent wrapper.
    ptr::from_ref(device).cast_mut().cast()
}

/// Hears from the driver core.
struct Unbinding;

impl ffi::BindingEnds for Unbinding {
    fn binding_ends(device: *mut ffi::device) {
        close_and_wait(|binding| ptr::eq(raw(&binding.device), device));
    }
}

/// Closes the domains that end, with the binding of their device, and waits for their tasks.
fn close_and_wait(ends: impl Fn(&Binding) -> bool) {
    // As long as there are any: one of the tasks may have made another domain.
    loop {
        let next = {
            let domains = DOMAINS.lock();
            let ending = || domains.iter().filter(|binding| ends(binding));

            ending().for_each(|binding| binding.domain.close());
            ending().next().cloned()
        };
        let Some(binding) = next else {
            return;
        };

        if binding.domain.drain("whose device is being unbound") == Err(EDEADLK) {
            pr_err!("a task unbinds its own device, and waits for itself for ever\n");
            binding.domain.wait_unused("whose device is being unbound");
        }
        binding.remove();
    }
}

impl Binding {
    /// Makes a domain for a bound device; see [`DeviceDomain::new`](crate::DeviceDomain::new).
    #[inline(never)]
    pub(crate) fn new(dev: &Device<Bound>) -> Result<Arc<Self>> {
        Self::with_action(dev, |action| devres::register(dev, action, GFP_KERNEL))
    }

    /// Makes a domain for a bound device, with a function that registers a device-managed action, and drops it
    /// if it cannot.
    // Tested by: mutant action-ends-other-domains, kunit a_domain_that_cannot_be_made_leaves_others_alone.
    pub(crate) fn with_action(
        dev: &Device<Bound>,
        register: impl FnOnce(AtRelease) -> Result,
    ) -> Result<Arc<Self>> {
        // SAFETY: The device is valid.
        let bus = Bus(unsafe { ffi::dev_bus(raw(dev)) });
        if bus.0.is_null() {
            return Err(EINVAL);
        }
        let binding = Self::make(dev, bus)?;

        // Where there is a domain, there is a bound device on a bus with this address, which is our
        // device's, and whose notifier was registered for the domain.
        let is_heard = Self::enter(&binding, |domains| domains.iter().any(|d| d.bus == bus))?;
        if !is_heard {
            let mut buses = BUSES.lock();

            // Nobody needs the notifier, if there is one, unless somebody has just come here before
            // us; and it may have been that of another bus, which is gone.
            if !Self::enter(&binding, |domains| domains.iter().any(|d| d.bus == bus))? {
                buses.retain(|(other, _)| *other != bus);
                buses.reserve(1, GFP_KERNEL)?;
                buses.push((bus, ffi::BusNotifier::new(bus.0)?), GFP_KERNEL)?;
                Self::enter(&binding, |_| true)?;
            }
        }
        // On failure, nobody is left who could submit anything.
        let this = ScopeGuard::new_with_data(binding, |binding| binding.close());

        // If the binding has begun to end, then either it has been notified after we have entered the
        // list, or we see it here: whoever notifies takes the list's lock as well.
        if matches!(this.check_binding()?, State::Probing) {
            register(AtRelease {
                number: this.number,
                _own: ThisModuleRef::new()?,
            })?;
            // Not too late for that either: the state changes before resources are released.
            this.check_binding()?;
        }
        Ok(this.dismiss())
    }

    /// Enters a domain into the list if a condition holds; returns whether it does.
    fn enter(
        binding: &Arc<Binding>,
        condition: impl FnOnce(&KVec<Arc<Binding>>) -> bool,
    ) -> Result<bool> {
        let mut domains = DOMAINS.lock();
        let enters = condition(&domains);

        if enters {
            domains.push(binding.clone(), GFP_KERNEL)?;
        }
        Ok(enters)
    }

    /// The domain.
    pub(crate) fn domain(&self) -> &AsyncDomain {
        &self.domain
    }

    /// The device, which is bound while the domain has unfinished tasks.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Closes the domain and waits for its tasks, unless the caller is one of them. Panics in an interrupt, also if
    /// there is no task: the list's lock sleeps, and so does what a binding owns when it is dropped.
    pub(crate) fn close(&self) {
        assert_can_sleep();
        self.domain.close();
        if self.domain.drain("which is being dropped").is_ok() {
            self.remove();
        }
        // Else the list keeps the domain, and its end is that of the binding.
    }

    /// Takes the domain, which must be closed and have no unfinished task, out of the list.
    fn remove(&self) {
        // Not the last reference: the caller has one.
        DOMAINS.lock().retain(|binding| !ptr::eq(&**binding, self));
    }

    // Tested by: kunit a_leaked_domain_does_not_outlive_the_binding, kunit
    //   dropping_the_handle_waits_for_the_tasks.
    fn make(dev: &Device<Bound>, bus: Bus) -> Result<Arc<Self>> {
        let device: ARef<Device> = (&**dev).into();

        Arc::pin_init(
            try_pin_init!(&this in Self {
                device,
                bus,
                number: LAST_NUMBER.fetch_add(1, Relaxed) + 1,
                lock_key <- LockClassKey::new_dynamic(),
                task_key <- LockClassKey::new_dynamic(),
                // SAFETY: The keys are initialised by now, pinned, and dropped after the domain, which
                // alone uses them. An `Arc` drops it before its memory is freed. This module makes it.
                domain <- unsafe {
                    AsyncDomain::init(c"device", Self::keys(this), false, ffi::this_module())
                },
                _: {
                    // SAFETY: The domain is initialised, and nobody else has it yet.
                    unsafe { (*this.as_ptr()).domain.device = &**dev };
                },
            }),
            GFP_KERNEL,
        )
    }

    /// # Safety
    ///
    /// The keys must be initialised and pinned, and not be dropped while they are used.
    // Tested by: kunit a_leaked_domain_does_not_outlive_the_binding, kunit
    //   dropping_the_handle_waits_for_the_tasks.
    unsafe fn keys(this: NonNull<Self>) -> [Pin<&'static LockClassKey>; 2] {
        // SAFETY: By the caller's promise.
        unsafe {
            let this = this.as_ptr();
            [
                Pin::new_unchecked(&(*this).lock_key),
                Pin::new_unchecked(&(*this).task_key),
            ]
        }
    }

    /// Whether the device is bound, or is being probed, and its unbinding would be heard of.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`, `ESHUTDOWN`: see [`DeviceDomain::new`](crate::DeviceDomain::new).
    // Tested by: kunit domains_of_a_device_that_is_being_removed_are_refused.
    fn check_binding(&self) -> Result<State> {
        let device = raw(&self.device);

        // SAFETY: The device is valid: we hold a reference.
        unsafe {
            if ffi::dev_tests_removal(device) {
                return Err(EOPNOTSUPP);
            }
            match ffi::dev_links_status(device) {
                ffi::dl_dev_state_DL_DEV_PROBING => Ok(State::Probing),
                ffi::dl_dev_state_DL_DEV_DRIVER_BOUND => Ok(State::Bound),
                _ => Err(ESHUTDOWN),
            }
        }
    }
}

enum State {
    Probing,
    Bound,
}

/// A device-managed action: ends one domain.
///
/// It does not share in the domain, which is gone when its handle is dropped.
pub(crate) struct AtRelease {
    number: u64,
    // Dropped last: it is our code that the driver core calls.
    _own: ThisModuleRef,
}

impl Drop for AtRelease {
    fn drop(&mut self) {
        close_and_wait(|binding| binding.number == self.number);
    }
}

/// What the module needs to know of devices, while it is loaded.
pub(crate) struct Devices(());

impl Devices {
    /// # Safety
    ///
    /// Must be called once, by the module's init function.
    // Tested by: kunit unbinding_waits_for_the_tasks, kunit
    //   domains_of_a_device_that_is_being_removed_are_refused.
    pub(crate) unsafe fn new() -> Self {
        // SAFETY: Called once, and before any other use, by the caller's promise.
        unsafe {
            DOMAINS.init();
            BUSES.init();
        }
        Self(())
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        // There are no consumers any more, and so no tasks: what is left are domains whose handles were
        // leaked by modules that are gone, of devices that are still bound.
        //
        // Unregistering waits for running notifiers, which take the other lock.
        let buses = core::mem::take(&mut *BUSES.lock());
        drop(buses);
        let domains = core::mem::take(&mut *DOMAINS.lock());
        drop(domains);
    }
}

/// Whether there is such a domain in the list.
#[cfg(ASYNC_DOMAIN_KUNIT)]
pub(crate) fn is_listed(condition: impl Fn(&Binding) -> bool) -> bool {
    DOMAINS.lock().iter().any(|binding| condition(binding))
}
