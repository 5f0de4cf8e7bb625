// SPDX-License-Identifier: GPL-2.0

//! References on the modules that an unfinished task needs.
//!
//! While they are held, `rmmod` of these modules is refused: also when the domain was leaked, or is
//! `static`, so that nobody waits for its tasks.
//!
//! A module whose init function fails is freed regardless of its reference count. [`unload`] waits for that
//! count, if the module got a reference here while it was *coming*.

use super::{
    coming,
    domain::AsyncDomain, //
};
use crate::{
    errno::ESHUTDOWN,
    ffi, //
};
use core::{
    mem::ManuallyDrop,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// Reads the state of a module.
///
/// # Safety
///
/// `module` must be valid.
#[inline]
// Tested by: kunit unfinished_tasks_hold_their_module, test failing-init.
unsafe fn state(module: *mut ffi::module) -> ffi::module_state {
    // SAFETY: The module is valid by the caller's promise. Others store its state as a whole.
    unsafe { (&raw const (*module).state).read_volatile() }
}

/// A reference on one module; null stands for the kernel itself.
#[derive(Clone, Copy)]
struct ModuleRef(*mut ffi::module);

impl ModuleRef {
    const NONE: Self = Self(ptr::null_mut());

    /// Takes a reference; fails with `ESHUTDOWN` if the module goes, and with `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `module` must be null or valid.
    #[inline]
    // Tested by: mutant module-not-held, kunit modules_stay_until_future_and_waker_are_gone.
    unsafe fn get(module: *mut ffi::module) -> Result<Self> {
        if module.is_null() {
            return Ok(Self::NONE);
        }
        // SAFETY: The module is valid by the caller's promise.
        if unsafe { state(module) } == ffi::module_state_MODULE_STATE_COMING {
            coming::expect(module)?;
        }
        // SAFETY: As above.
        if !unsafe { ffi::try_module_get(module) } {
            return Err(ESHUTDOWN);
        }
        Ok(Self(module))
    }

    /// # Safety
    ///
    /// The reference must come from [`Self::get`], and be put once.
    #[inline]
    // Tested by: mutant module-not-held, kunit modules_stay_until_future_and_waker_are_gone.
    unsafe fn put(self) {
        if !self.0.is_null() {
            // SAFETY: The module is valid since the reference is held.
            unsafe { ffi::module_put(self.0) };
        }
    }
}

/// The module whose code calls, or null: the kernel itself.
///
/// # Invariants
///
/// As long as this is used, code of that module is running, which makes the module stay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller(*mut ffi::module);

impl Caller {
    #[cfg(ASYNC_DOMAIN_KUNIT)]
    pub(crate) const KERNEL: Self = Self(ptr::null_mut());

    /// The module into which this is inlined. It must not be kept when that code has returned.
    #[inline(always)]
    pub(crate) const fn here() -> Self {
        // INVARIANT: This is a part of its code.
        Self(ffi::this_module())
    }

    #[inline]
    pub(crate) const fn as_ptr(self) -> *mut ffi::module {
        self.0
    }
}

/// Whether a task of this submitter need not hold its module, since the domain does: one reference on
/// its owner for as long as there are such tasks.
///
/// # Safety
///
/// `submitter` must be null or a valid module.
#[inline]
// Tested by: kunit unfinished_tasks_hold_their_module, test failing-init.
pub(crate) unsafe fn is_held_by(domain: &AsyncDomain, submitter: *mut ffi::module) -> bool {
    submitter == domain.owner()
        && (submitter.is_null()
            // A module that is coming is held in another way. One that comes alive meanwhile may be held in
            // either; one that goes cannot be held any more.
            //
            // SAFETY: The submitter is valid by the caller's promise.
            || unsafe { state(submitter) } == ffi::module_state_MODULE_STATE_LIVE)
}

/// References on up to two modules: the one whose code a task runs, and the one whose memory the
/// domain may be in, if that is another one.
pub(crate) struct ModuleRefs {
    submitter: ModuleRef,
    owner: ModuleRef,
}

// SAFETY: A module's reference count may be changed by any thread.
// Tested by: nothing.
unsafe impl Send for ModuleRefs {}

/// [`ModuleRefs`] that somebody else keeps, who knows the submitter.
#[derive(Clone, Copy)]
pub(crate) struct RawRefs {
    owner: ModuleRef,
}

impl RawRefs {
    pub(crate) const NONE: Self = Self {
        owner: ModuleRef::NONE,
    };

    /// Takes the references of a task whose modules its domain does not hold. See [`ModuleRefs::get`].
    ///
    /// # Safety
    ///
    /// As there.
    #[cold]
    #[inline(never)]
    // Tested by: mutant module-not-held, kunit modules_stay_until_future_and_waker_are_gone.
    pub(crate) unsafe fn get(submitter: *mut ffi::module, domain: &AsyncDomain) -> Result<Self> {
        // SAFETY: By the caller's promise.
        Ok(unsafe { ModuleRefs::get(submitter, domain) }?.into_raw())
    }
}

/// A reference on the submitter alone, that somebody else keeps.
#[derive(Clone, Copy)]
pub(crate) enum RawRef {
    None,
    Held,
}

impl RawRef {
    /// Takes it, unless the submitter is a module that is running until it is put.
    ///
    /// # Safety
    ///
    /// As [`ModuleRefs::get`].
    // Tested by: mutant module-not-held, kunit modules_stay_until_future_and_waker_are_gone.
    pub(crate) unsafe fn get(
        submitter: *mut ffi::module,
        running: *mut ffi::module,
    ) -> Result<Self> {
        if submitter == running {
            return Ok(Self::None);
        }
        // SAFETY: The submitter is null or a valid module by the caller's promise.
        unsafe { ModuleRef::get(submitter) }?;
        Ok(Self::Held)
    }

    /// Takes it over.
    ///
    /// # Safety
    ///
    /// As [`ModuleRefs::from_raw`].
    pub(crate) unsafe fn into_refs(self, submitter: *mut ffi::module) -> ModuleRefs {
        let mut refs = ModuleRefs::none();

        if matches!(self, Self::Held) {
            refs.submitter = ModuleRef(submitter);
        }
        refs
    }
}

impl ModuleRefs {
    /// Holds nothing.
    pub(crate) const fn none() -> Self {
        Self {
            submitter: ModuleRef::NONE,
            owner: ModuleRef::NONE,
        }
    }

    /// Takes a reference on the module that calls; may be called in any context.
    ///
    /// Fails with `ESHUTDOWN` if it is being unloaded.
    // Tested by: kunit a_handle_can_be_awaited.
    pub(crate) fn of(module: Caller) -> Result<Self> {
        Ok(Self {
            // SAFETY: Its code is running.
            submitter: unsafe { ModuleRef::get(module.as_ptr()) }?,
            owner: ModuleRef::NONE,
        })
    }

    /// As [`Self::get`], for the module that calls.
    // Tested by: mutant module-not-held, kunit modules_stay_until_future_and_waker_are_gone.
    pub(crate) fn with_owner(module: Caller, domain: &AsyncDomain) -> Result<Self> {
        // SAFETY: Its code is running.
        unsafe { Self::get(module.as_ptr(), domain) }
    }

    /// Takes the references on the submitter, and on the module that made the domain; may be called in
    /// any context.
    ///
    /// Fails with `ESHUTDOWN` if a module is being unloaded.
    ///
    /// # Safety
    ///
    /// `submitter` must be null or a valid module, which stays during the call.
    #[inline]
    // Tested by: mutant module-not-held, kunit modules_stay_until_future_and_waker_are_gone.
    pub(crate) unsafe fn get(submitter: *mut ffi::module, domain: &AsyncDomain) -> Result<Self> {
        let mut refs = Self::none();

        // SAFETY: The caller promises that the submitter is null or valid.
        refs.submitter = unsafe { ModuleRef::get(submitter) }?;
        if domain.owner() != submitter {
            refs.owner = Self::get_owner(domain)?;
        }
        Ok(refs)
    }

    /// Takes a reference on the module that made a domain, which may be going at the same time.
    // Tested by: mutant module-not-held, kunit modules_stay_until_future_and_waker_are_gone.
    fn get_owner(domain: &AsyncDomain) -> Result<ModuleRef> {
        // A module that goes is first taken out of its domains, and not freed before an RCU grace
        // period has passed after that.
        let _rcu = rcu::read_lock();

        // SAFETY: What is still in the domain is valid until the end of this section.
        unsafe { ModuleRef::get(domain.owner()) }
    }

    /// Takes a reference on the module that made a domain, unless it is this one, which is running.
    pub(crate) fn get_other_owner(domain: &AsyncDomain, running: *mut ffi::module) -> Result<Self> {
        let mut refs = Self::none();

        if domain.owner() != running {
            refs.owner = Self::get_owner(domain)?;
        }
        Ok(refs)
    }

    /// Takes over a reference that was the domain's, on its owner.
    ///
    /// # Safety
    ///
    /// There must be one, which is taken over once.
    pub(crate) unsafe fn from_domain(owner: *mut ffi::module) -> Self {
        Self {
            submitter: ModuleRef(owner),
            owner: ModuleRef::NONE,
        }
    }

    /// Puts the references now; there are none left to be dropped.
    #[inline]
    pub(crate) fn put(&mut self) {
        *self = Self::none();
    }

    /// Gives the references to somebody else to keep.
    #[inline]
    pub(crate) fn into_raw(self) -> RawRefs {
        let refs = ManuallyDrop::new(self);

        RawRefs { owner: refs.owner }
    }

    /// Takes over references that were kept.
    ///
    /// # Safety
    ///
    /// They must come from [`Self::into_raw`], with this submitter, and be taken over once.
    #[inline]
    pub(crate) unsafe fn from_raw(submitter: *mut ffi::module, kept: RawRefs) -> Self {
        Self {
            submitter: ModuleRef(submitter),
            owner: kept.owner,
        }
    }
}

impl Drop for ModuleRefs {
    #[inline]
    // Tested by: mutant module-not-held, kunit modules_stay_until_future_and_waker_are_gone.
    fn drop(&mut self) {
        // SAFETY: `get` has taken these references.
        unsafe {
            self.submitter.put();
            self.owner.put();
        }
    }
}
