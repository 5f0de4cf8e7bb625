// SPDX-License-Identifier: GPL-2.0

//! Domains of bound devices: their tasks cannot outlive the binding.
//!
//! Why they cannot, is said in `binding.rs`.

use super::binding::Binding;
use crate::{
    domain::{
        core::{
            context::TaskContext,
            cookie::Cookie,
            domain::AsyncDomain,
            header::{
                Ops,
                Task, //
            }, //
        },
        submit::{
            closure::{
                self,
                Body, //
            },
            error::SubmitError,
            schedule::Submit,
            target::Target, //
        }, //
    },
    ffi, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    alloc::Flags,
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::Arc, //
};

/// A domain for the tasks of one device, as long as that is bound to its driver.
///
/// Unbinding or removing the device closes the domain and waits for its tasks, and so does dropping
/// this handle. The tasks get the bound device, and may use what it gives access to, such as mapped
/// registers, without further checks ([`Devres::access`](kernel::devres::Devres::access)). They cannot
/// outlive the binding, also if the handle is leaked.
///
/// It dereferences to an [`AsyncDomain`]: it can be waited for, or cancelled, and can hold tasks, tokens
/// and futures that have nothing to do with the device, for which unbinding waits all the same.
///
/// # Examples
///
/// ```
/// use async_domain::DeviceDomain;
/// use kernel::device::{Bound, Device};
///
/// fn probe(dev: &Device<Bound>) -> Result<DeviceDomain> {
///     let domain = DeviceDomain::new(dev)?;
///
///     domain.schedule_with_device(GFP_KERNEL, |_, dev| {
///         // ... bring up a part of the device: `registers.access(dev)?` ...
///         dev_info!(dev, "a part is up\n");
///     })?;
///     // Goes to the driver's private data.
///     Ok(domain)
/// }
/// ```
///
/// # Rules for tasks
///
/// The device's lock is held while its tasks are waited for, and its bus's notifiers are being called. A
/// task must not take that lock, unbind the device, or register a notifier of the bus, lest it wait for
/// ever.
pub struct DeviceDomain(Arc<Binding>);

impl DeviceDomain {
    /// Makes a domain for a bound device.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the device has no bus.
    /// - `ESHUTDOWN`: the device is being unbound.
    /// - `EOPNOTSUPP`: the kernel is one that tests the removal of this driver without notice
    ///   (`CONFIG_DEBUG_TEST_DRIVER_REMOVE`).
    /// - `ENOMEM`.
    ///
    /// # Context
    ///
    /// Process context; may sleep. Usually a driver's `probe()`; it should not be a task.
    pub fn new(dev: &Device<Bound>) -> Result<Self> {
        Ok(Self(Binding::new(dev)?))
    }

    /// Runs a function asynchronously, with the bound device, near its NUMA node; returns its cookie.
    ///
    /// See [`Submit::schedule`].
    ///
    /// # Errors
    ///
    /// Gives the closure back, as [`Submit::schedule`] does; with `ESHUTDOWN` if the device is
    /// being unbound, or has been.
    ///
    /// # Context
    ///
    /// Any, with `flags` that fit it.
    #[inline]
    // Tested by: kunit unbinding_waits_for_the_tasks, kunit a_leaked_domain_does_not_outlive_the_binding.
    pub fn schedule_with_device<F>(&self, flags: Flags, func: F) -> Result<Cookie, SubmitError<F>>
    where
        F: FnOnce(&TaskContext<'_>, &Device<Bound>) + Send + 'static,
    {
        let device: *const Device = self.0.device();

        // SAFETY: The closure is `'static`. The device is bound as long as the domain has unfinished
        // tasks: it is one of this domain.
        unsafe {
            closure::submit(
                self.0.domain().near(self.0.device()).destination(),
                flags,
                WithDevice { func, device },
            )
        }
        .map_err(|error| error.map(|body| body.func))
    }
}

impl TaskContext<'_> {
    /// The bound device, if the task belongs to a [`DeviceDomain`]: also for tasks that were submitted
    /// in one of the other ways, such as ordered ones.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{DeviceDomain, Submit};
    ///
    /// fn bring_up(domain: &DeviceDomain) -> Result {
    ///     domain.schedule_ordered(
    ///         GFP_KERNEL,
    ///         |_| (), // ... in parallel ...
    ///         |(), context| {
    ///             if let Some(dev) = context.device() {
    ///                 dev_info!(dev, "up, in order\n");
    ///             }
    ///         },
    ///     )?;
    ///     Ok(())
    /// }
    /// ```
    // Tested by: kunit tasks_of_other_kinds_have_the_device, kunit
    //   a_task_that_drops_the_handle_is_waited_for_by_the_binding.
    pub fn device(&self) -> Option<&Device<Bound>> {
        let device = self.with_domain(|domain| domain.device)?;

        // SAFETY: The device of a domain is null, or that of the binding which ends after the domain's
        // tasks have finished. This one has not: it is running, and in the order of the domain.
        unsafe { Some(device.as_ref()?.as_bound()) }
    }
}

impl Deref for DeviceDomain {
    type Target = AsyncDomain;

    #[inline]
    fn deref(&self) -> &AsyncDomain {
        self.0.domain()
    }
}

impl Drop for DeviceDomain {
    /// Refuses new tasks and waits for the others. Must be done in process context; may sleep. In an interrupt, the
    /// kernel panics.
    ///
    /// A task that drops the handle of its own domain does not wait. The end of the binding does.
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A closure that is run with a device, which is bound while the task is unfinished.
struct WithDevice<F> {
    func: F,
    device: *const Device,
}

// SAFETY: The device may be used by any thread.
// Tested by: nothing: of its own: see closure.rs.
unsafe impl<F: Send> Send for WithDevice<F> {}

impl<F: FnOnce(&TaskContext<'_>, &Device<Bound>) + Send> WithDevice<F> {
    /// # Safety
    ///
    /// `task` must have such a body, which it has no longer afterwards.
    // Tested by: kunit unbinding_waits_for_the_tasks, kunit a_leaked_domain_does_not_outlive_the_binding.
    unsafe fn run(task: NonNull<Task>, context: &TaskContext<'_>) {
        // SAFETY: By the caller's promise. The device is bound until the task has finished, which is
        // after this function has returned.
        unsafe {
            let Self { func, device } = closure::take(task);
            func(context, (*device).as_bound())
        }
    }

    /// # Safety
    ///
    /// As above.
    // Tested by: kunit unbinding_waits_for_the_tasks, kunit a_leaked_domain_does_not_outlive_the_binding.
    unsafe fn discard(task: NonNull<Task>) {
        // SAFETY: By the caller's promise.
        drop(unsafe { closure::take::<Self>(task) })
    }
}

// SAFETY: `run` or `discard` takes the closure, whichever is called.
// Tested by: nothing: of its own: see closure.rs.
unsafe impl<F: FnOnce(&TaskContext<'_>, &Device<Bound>) + Send> Body for WithDevice<F> {
    const OPS: Ops = Ops {
        run: Self::run,
        retire: None,
        discard: Self::discard,
        settle: None,
        callers_memory: false,
        module: ffi::this_module(),
    };
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_device)]
mod tests {
    use super::*;
    use crate::domain::life::binding;
    use crate::errno::ESHUTDOWN;
    use crate::kunit::{
        eventually,
        settle,
        Gate,
        Thread, //
    };
    use crate::Submit;
    use core::mem;
    use core::ptr;
    use ffi::FauxDevice;
    use kernel::{
        devres,
        sync::atomic::{
            ordering::Relaxed,
            Atomic, //
        }, //
    };

    /// A driver that does nothing.
    struct Quiet;

    impl ffi::FauxDriver for Quiet {
        fn probe(_device: *mut ffi::device) -> c_int {
            0
        }

        fn remove(_device: *mut ffi::device) {}
    }

    fn device() -> Result<FauxDevice> {
        FauxDevice::new::<Quiet>(c"async_domain_kunit")
    }

    fn bound(device: &FauxDevice) -> &Device<Bound> {
        // SAFETY: A faux device is bound until it is removed.
        unsafe { as_bound(device.device()) }
    }

    /// # Safety
    ///
    /// The device must be bound for as long.
    unsafe fn as_bound<'a>(device: *mut ffi::device) -> &'a Device<Bound> {
        // CAST: `Device` is a transparent wrapper.
        // SAFETY: By the caller's promise.
        unsafe { (*device.cast::<Device>()).as_bound() }
    }

    fn counter() -> Result<Arc<Atomic<i32>>> {
        Ok(Arc::new(Atomic::new(0), GFP_KERNEL)?)
    }

    /// What device drivers have: something that is usable while the device is bound, and not after.
    struct Registers(Arc<Atomic<i32>>);

    impl Drop for Registers {
        fn drop(&mut self) {
            self.0.store(-1, Relaxed);
        }
    }

    /// A device with registers, and a domain with a task that waits at a gate before it uses them.
    fn device_with_task(
        gate: &Gate,
        seen: &Arc<Atomic<i32>>,
    ) -> Result<(FauxDevice, DeviceDomain)> {
        let device = device()?;
        let domain = DeviceDomain::new(bound(&device))?;
        // Released before everything that was registered earlier.
        let state = Arc::new(Atomic::new(1), GFP_KERNEL)?;
        devres::register(bound(&device), Registers(state.clone()), GFP_KERNEL)?;

        let (gate, seen) = (gate.clone(), seen.clone());
        domain.schedule_with_device(GFP_KERNEL, move |context, dev| {
            gate.wait();
            settle();
            let same = context.device().is_some_and(|other| ptr::eq(other, dev));
            seen.store(state.load(Relaxed) + i32::from(same), Relaxed);
        })?;
        Ok((device, domain))
    }

    fn in_list(domain: &DeviceDomain) -> bool {
        binding::is_listed(|other| ptr::eq(other, &*domain.0))
    }

    #[test]
    fn unbinding_waits_for_the_tasks() -> Result {
        let (gate, seen) = (Gate::new()?, counter()?);
        let (device, domain) = device_with_task(&gate, &seen)?;
        let gone = counter()?;
        let g = gone.clone();
        let unbinder = Thread::spawn(move || {
            drop(device);
            g.store(1, Relaxed);
        })?;

        assert!(eventually(|| domain.stats().waits == 1));
        settle();
        assert_eq!((gone.load(Relaxed), seen.load(Relaxed)), (0, 0));
        // It is closed to new tasks of all kinds.
        let refused = domain.schedule_with_device(GFP_KERNEL, |_, _| ());
        assert!(matches!(refused, Err(SubmitError { error, .. }) if error == ESHUTDOWN));
        let refused = domain.schedule(GFP_KERNEL, |_| ());
        assert!(matches!(refused, Err(SubmitError { error, .. }) if error == ESHUTDOWN));

        gate.open();
        unbinder.join();
        assert_eq!(seen.load(Relaxed), 2);
        assert!(!in_list(&domain));
        let refused = domain.schedule_with_device(GFP_KERNEL, |_, _| ());
        assert!(matches!(refused, Err(SubmitError { error, .. }) if error == ESHUTDOWN));
        Ok(())
    }

    #[test]
    fn a_leaked_domain_does_not_outlive_the_binding() -> Result {
        let (gate, seen) = (Gate::new()?, counter()?);
        let (device, domain) = device_with_task(&gate, &seen)?;
        let leaked = mem::ManuallyDrop::new(domain);

        let unbinder = Thread::spawn(move || drop(device))?;
        assert!(eventually(|| leaked.stats().waits == 1));
        gate.open();
        unbinder.join();
        assert_eq!(seen.load(Relaxed), 2);
        assert_eq!(leaked.lowest_in_progress(), None);
        assert!(!in_list(&leaked));
        // For the sake of the leak detector.
        drop(mem::ManuallyDrop::into_inner(leaked));
        Ok(())
    }

    #[test]
    fn dropping_the_handle_waits_for_the_tasks() -> Result {
        let (gate, seen) = (Gate::new()?, counter()?);
        let (device, domain) = device_with_task(&gate, &seen)?;
        let dropper = Thread::spawn(move || drop(domain))?;

        settle();
        assert_eq!(seen.load(Relaxed), 0);
        gate.open();
        dropper.join();
        assert_eq!(seen.load(Relaxed), 2);
        assert!(!binding::is_listed(|other| ptr::eq(
            other.device(),
            &**bound(&device)
        )));
        Ok(())
    }

    #[test]
    fn a_task_that_drops_the_handle_is_waited_for_by_the_binding() -> Result {
        let (gate, begun, seen) = (Gate::new()?, Gate::new()?, counter()?);
        let device = device()?;
        let domain = Arc::new(DeviceDomain::new(bound(&device))?, GFP_KERNEL)?;

        let (d, g, b, s) = (domain.clone(), gate.clone(), begun.clone(), seen.clone());
        domain.schedule_with_device(GFP_KERNEL, move |_, dev| {
            g.wait();
            // The last handle.
            drop(d);
            b.open();
            settle();
            // Still bound.
            // SAFETY: The device is valid.
            let status = unsafe { ffi::dev_links_status(binding::raw(dev)) };
            s.store(status as i32, Relaxed);
        })?;
        drop(domain);
        gate.open();
        begun.wait();
        drop(device);
        // CAST: A small number. Unbinding waited, and had not begun to release anything.
        assert!(seen.load(Relaxed) > ffi::dl_dev_state_DL_DEV_DRIVER_BOUND as i32 - 1);
        Ok(())
    }

    #[test]
    fn domains_that_tasks_make_while_the_device_is_unbound_are_refused() -> Result {
        let (gate, ret) = (Gate::new()?, counter()?);
        let device = device()?;
        let domain = DeviceDomain::new(bound(&device))?;
        let (g, r) = (gate.clone(), ret.clone());

        domain.schedule_with_device(GFP_KERNEL, move |_, dev| {
            g.wait();
            if let Err(e) = DeviceDomain::new(dev) {
                r.store(e.to_errno(), Relaxed);
            }
        })?;
        let unbinder = Thread::spawn(move || drop(device))?;
        assert!(eventually(|| domain.stats().waits == 1));
        gate.open();
        unbinder.join();
        assert_eq!(ret.load(Relaxed), ESHUTDOWN.to_errno());
        Ok(())
    }

    #[test]
    fn devices_do_not_wait_for_one_another() -> Result {
        let (gate, seen) = (Gate::new()?, counter()?);
        let (device, domain) = device_with_task(&gate, &seen)?;
        let other = FauxDevice::new::<Quiet>(c"async_domain_kunit_other")?;
        let second = DeviceDomain::new(bound(&other))?;
        let third = DeviceDomain::new(bound(&device))?;

        second.schedule_with_device(GFP_KERNEL, |_, _| ())?;
        drop(other);
        assert!(!in_list(&second) && in_list(&domain) && in_list(&third));
        assert!(domain.schedule_with_device(GFP_KERNEL, |_, _| ()).is_ok());
        gate.open();
        drop(device);
        assert!(!in_list(&domain) && !in_list(&third));
        Ok(())
    }

    #[test]
    fn tasks_of_other_kinds_have_the_device() -> Result {
        let (device, seen) = (device()?, counter()?);
        let domain = DeviceDomain::new(bound(&device))?;
        let ordinary = crate::kunit::domain()?;

        for domain in [&*domain, &*ordinary] {
            let (a, b) = (seen.clone(), seen.clone());
            domain.schedule_ordered(
                GFP_KERNEL,
                move |context| a.add(i32::from(context.device().is_some()), Relaxed),
                move |(), context| b.add(i32::from(context.device().is_some()), Relaxed),
            )?;
            domain.synchronize(..)?;
        }
        assert_eq!(seen.load(Relaxed), 2);
        Ok(())
    }

    /// What a driver does in `probe()` or `remove()`, and what came of it.
    static GATE: Atomic<i32> = Atomic::new(0);
    static SEEN: Atomic<i32> = Atomic::new(0);
    static REFUSED: Atomic<i32> = Atomic::new(0);

    /// Makes a domain and leaks it, with a task that waits for the gate.
    fn leak_task(dev: &Device<Bound>) -> Result {
        let domain = mem::ManuallyDrop::new(DeviceDomain::new(dev)?);
        // Released before the domain's own action.
        let state = Arc::new(Atomic::new(1), GFP_KERNEL)?;
        devres::register(dev, Registers(state.clone()), GFP_KERNEL)?;

        domain.schedule_with_device(GFP_KERNEL, move |_, _| {
            eventually(|| GATE.load(Relaxed) == 1);
            settle();
            SEEN.store(state.load(Relaxed), Relaxed);
        })?;
        // For the sake of the leak detector: as good as leaked, since the list has it.
        // SAFETY: The handle is not used any more.
        drop(unsafe { ptr::read(&domain.0) });
        Ok(())
    }

    /// A driver whose probe fails, after it has leaked a domain.
    struct FailsProbe;

    impl ffi::FauxDriver for FailsProbe {
        fn probe(device: *mut ffi::device) -> c_int {
            // SAFETY: The device is bound while it is probed.
            let ret = leak_task(unsafe { as_bound(device) });
            GATE.store(1, Relaxed);
            ret.err().unwrap_or(EIO).to_errno()
        }

        fn remove(_device: *mut ffi::device) {}
    }

    #[test]
    fn a_failed_probe_waits_for_the_tasks() {
        GATE.store(0, Relaxed);
        SEEN.store(0, Relaxed);
        assert!(FauxDevice::new::<FailsProbe>(c"async_domain_kunit").is_err());
        assert_eq!(SEEN.load(Relaxed), 1);
        assert!(!binding::is_listed(|_| true));
    }

    /// A driver whose second domain's action cannot be registered. Its first domain is none the worse.
    struct LacksMemory;

    impl ffi::FauxDriver for LacksMemory {
        fn probe(device: *mut ffi::device) -> c_int {
            // SAFETY: The device is bound while it is probed.
            let dev = unsafe { as_bound(device) };
            let probe = || -> Result {
                let first = DeviceDomain::new(dev)?;
                // As `devm_add_action_or_reset()` does without memory.
                let second = binding::Binding::with_action(dev, |action| {
                    drop(action);
                    Err(ENOMEM)
                });

                assert!(matches!(second, Err(e) if e == ENOMEM));
                assert!(in_list(&first));
                assert!(!binding::is_listed(|other| !ptr::eq(other, &*first.0)));
                first.schedule_with_device(GFP_KERNEL, |_, _| SEEN.store(1, Relaxed))?;
                Ok(())
            };
            probe().map_or_else(|e| e.to_errno(), |()| 0)
        }

        fn remove(_device: *mut ffi::device) {}
    }

    #[test]
    fn a_domain_that_cannot_be_made_leaves_others_alone() -> Result {
        SEEN.store(0, Relaxed);
        drop(FauxDevice::new::<LacksMemory>(c"async_domain_kunit")?);
        assert_eq!(SEEN.load(Relaxed), 1);
        Ok(())
    }

    /// A driver that makes a domain in its probe, and tries it again when it is removed.
    struct Late;

    impl ffi::FauxDriver for Late {
        fn probe(device: *mut ffi::device) -> c_int {
            // SAFETY: The device is bound while it is probed.
            let ret = leak_task(unsafe { as_bound(device) });
            ret.map_or_else(|e| e.to_errno(), |()| 0)
        }

        fn remove(device: *mut ffi::device) {
            // SAFETY: The device is bound until this has returned.
            if let Err(e) = leak_task(unsafe { as_bound(device) }) {
                REFUSED.store(e.to_errno(), Relaxed);
            }
        }
    }

    #[test]
    fn domains_of_a_device_that_is_being_removed_are_refused() -> Result {
        GATE.store(0, Relaxed);
        SEEN.store(0, Relaxed);
        let device = FauxDevice::new::<Late>(c"async_domain_kunit")?;

        assert!(binding::is_listed(|_| true));
        GATE.store(1, Relaxed);
        drop(device);
        assert_eq!(SEEN.load(Relaxed), 1);
        assert_eq!(REFUSED.load(Relaxed), ESHUTDOWN.to_errno());
        assert!(!binding::is_listed(|_| true));
        Ok(())
    }
}
