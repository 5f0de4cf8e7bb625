// SPDX-License-Identifier: GPL-2.0

//! Registrations in the kernel's notifier chains.
//!
//! C header: [`include/linux/notifier.h`](srctree/include/linux/notifier.h)

use super::names::{
    bus_type,
    device,
    is_oops,
    module,
    register_die_notifier,
    unregister_die_notifier, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// A chain that the kernel calls.
enum Head {
    Modules,
    Deaths,
    Bus(*const bus_type),
}

/// One kind of listener: its chain, and what it makes of an event there.
pub(crate) trait Listener {
    /// Where it is called among the chain's listeners: those with a lower priority come later.
    const PRIORITY: c_int = 0;

    /// Is called in the context in which the chain is.
    fn notify(event: c_ulong, data: *mut c_void);
}

/// A registration in a notifier chain, which ends on drop.
///
/// # Invariants
///
/// `block` is registered in the chain `head`, whose other users hold its lock while they touch it.
pub(crate) struct Notifier<L> {
    block: Pin<KBox<Opaque<bindings::notifier_block>>>,
    head: Head,
    _listener: PhantomData<L>,
}

// SAFETY: Any thread may end a registration, and an `L` is only a type.
// Tested by: nothing.
unsafe impl<L> Send for Notifier<L> {}
// SAFETY: A shared reference gives access to nothing.
// Tested by: nothing.
unsafe impl<L> Sync for Notifier<L> {}

impl<L: Listener> Notifier<L> {
    // Tested by: kunit unbinding_waits_for_the_tasks.
    fn register(head: Head) -> Result<Self> {
        let block = KBox::pin(
            Opaque::new(bindings::notifier_block {
                notifier_call: Some(Self::call),
                priority: L::PRIORITY,
                ..pin_init::zeroed()
            }),
            GFP_KERNEL,
        )?;

        // SAFETY: The block is initialised, pinned, and stays until `drop` has unregistered it. The address of
        // a bus is looked up among those of the registered ones.
        to_result(unsafe {
            match head {
                Head::Modules => bindings::register_module_notifier(block.get()),
                Head::Deaths => register_die_notifier(block.get()),
                Head::Bus(bus) => bindings::bus_register_notifier(bus, block.get()),
            }
        })?;

        // INVARIANT: It has just been registered.
        Ok(Self {
            block,
            head,
            _listener: PhantomData,
        })
    }

    // Tested by: kunit unbinding_waits_for_the_tasks, test failing-init.
    extern "C" fn call(
        _block: *mut bindings::notifier_block,
        event: c_ulong,
        data: *mut c_void,
    ) -> c_int {
        L::notify(event, data);
        bindings::NOTIFY_DONE as c_int
    }
}

impl<L> Drop for Notifier<L> {
    // Tested by: kunit unbinding_waits_for_the_tasks.
    fn drop(&mut self) {
        let block = self.block.get();

        // SAFETY: By the type invariant it is registered. These wait for running callbacks. If a bus is gone,
        // and its chain with it, then it is not found, and this fails.
        unsafe {
            match self.head {
                Head::Modules => bindings::unregister_module_notifier(block),
                Head::Deaths => unregister_die_notifier(block),
                Head::Bus(bus) => bindings::bus_unregister_notifier(bus, block),
            };
        }
    }
}

/// Is told what becomes of modules.
pub(crate) trait ModuleEvents {
    /// The module has run its init function. May sleep.
    fn live(module: *mut module);

    /// The module has run its exit function, or its init function has failed: it is about to be freed. May
    /// sleep.
    fn going(module: *mut module);
}

/// Calls the [`ModuleEvents`] of `T`.
pub(crate) struct OfModules<T>(PhantomData<T>);

/// A registration for [`ModuleEvents`].
pub(crate) type ModuleNotifier<T> = Notifier<OfModules<T>>;

impl<T: ModuleEvents> ModuleNotifier<T> {
    /// Registers; fails with `ENOMEM`, or as `register_module_notifier()` does.
    pub(crate) fn new() -> Result<Self> {
        Self::register(Head::Modules)
    }
}

impl<T: ModuleEvents> Listener for OfModules<T> {
    fn notify(event: c_ulong, module: *mut c_void) {
        // CAST: The states are an enum, which notifiers get as an `unsigned long`.
        const LIVE: c_ulong = bindings::module_state_MODULE_STATE_LIVE as c_ulong;
        const GOING: c_ulong = bindings::module_state_MODULE_STATE_GOING as c_ulong;

        match event {
            LIVE => T::live(module.cast()),
            GOING => T::going(module.cast()),
            _ => (),
        }
    }
}

/// Is told by a thread that it dies of an oops.
pub(crate) trait ThreadDies {
    /// Is called by that thread, or by an interrupt that dies, which brings down the machine: in any
    /// context, wherever the oops was.
    fn dies();
}

/// Calls the [`ThreadDies`] of `T`.
pub(crate) struct OfDeaths<T>(PhantomData<T>);

/// A registration for [`ThreadDies`].
pub(crate) type DieNotifier<T> = Notifier<OfDeaths<T>>;

impl<T: ThreadDies> DieNotifier<T> {
    /// Registers; fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Self::register(Head::Deaths)
    }
}

impl<T: ThreadDies> Listener for OfDeaths<T> {
    // The last one: a debugger, for one, may have the thread go on.
    const PRIORITY: c_int = c_int::MIN;

    fn notify(event: c_ulong, _data: *mut c_void) {
        if is_oops(event) {
            T::dies();
        }
    }
}

/// Is told when the binding of a device to its driver ends, before any of its resources is released.
pub(crate) trait BindingEnds {
    /// May sleep. The device is locked.
    fn binding_ends(device: *mut device);
}

/// Calls the [`BindingEnds`] of `T`.
pub(crate) struct OfBus<T>(PhantomData<T>);

/// A registration for [`BindingEnds`] of the devices of one bus.
pub(crate) type BusNotifier<T> = Notifier<OfBus<T>>;

impl<T: BindingEnds> BusNotifier<T> {
    /// Registers; fails with `ENOMEM`, or as `bus_register_notifier()` does: with `EINVAL` if there is
    /// no bus at this address.
    pub(crate) fn new(bus: *const bus_type) -> Result<Self> {
        Self::register(Head::Bus(bus))
    }
}

impl<T: BindingEnds> Listener for OfBus<T> {
    fn notify(event: c_ulong, device: *mut c_void) {
        // CAST: The events are an enum, which notifiers get as an `unsigned long`.
        const UNBIND: c_ulong = bindings::bus_notifier_event_BUS_NOTIFY_UNBIND_DRIVER as c_ulong;
        const NOT_BOUND: c_ulong =
            bindings::bus_notifier_event_BUS_NOTIFY_DRIVER_NOT_BOUND as c_ulong;

        if matches!(event, UNBIND | NOT_BOUND) {
            T::binding_ends(device.cast());
        }
    }
}
