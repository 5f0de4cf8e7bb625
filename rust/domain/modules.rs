// SPDX-License-Identifier: GPL-2.0

//! References on the modules that an unfinished task needs.
//!
//! While they are held, `rmmod` of these modules is refused: also when the domain was leaked, or is
//! `static`, so that nobody waits for its tasks.
//!
//! A module whose init function fails is freed whoever refers to it: its reference count is not
//! asked. So references that are taken while a module is *coming* are counted here as well, and when
//! the module goes, its memory is not freed before that count is zero (see
//! [`OwnerGone`](super::OwnerGone)).

use super::{
    registry,
    AsyncDomain, //
};
use crate::{
    errno::ESHUTDOWN,
    ffi, //
};
use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// How many modules can be coming, with tasks, at a time.
const COMING: usize = 64;

/// Modules that had tasks while they were coming, and how many of these references are left.
struct Coming(UnsafeCell<[(*mut ffi::module, usize); COMING]>);

// SAFETY: It is only touched under the registry's lock.
unsafe impl Sync for Coming {}

static COMING_MODULES: Coming = Coming(UnsafeCell::new([(ptr::null_mut(), 0); COMING]));

/// Runs `f` with the count of references that a module got when it was coming; fails with `EAGAIN`
/// if there is no place to count them.
fn count<R>(module: *mut ffi::module, f: impl FnOnce(&mut usize) -> R) -> Result<R> {
    registry::locked(|| {
        // SAFETY: The lock is held.
        let table = unsafe { &mut *COMING_MODULES.0.get() };
        let place = table
            .iter()
            .position(|&(m, n)| m == module && n > 0)
            .or_else(|| table.iter().position(|&(_, n)| n == 0));
        let entry = table.get_mut(place.ok_or(EAGAIN)?).ok_or(EAGAIN)?;

        entry.0 = module;
        Ok(f(&mut entry.1))
    })
}

/// Whether tasks are left that took their reference on this module when it was coming.
pub(super) fn has_early_tasks(module: *mut ffi::module) -> bool {
    count(module, |n| *n > 0).unwrap_or(true)
}

/// A reference on one module; null stands for the kernel itself.
#[derive(Clone, Copy)]
struct ModuleRef {
    module: *mut ffi::module,
    early: bool,
}

impl ModuleRef {
    const NONE: Self = Self {
        module: ptr::null_mut(),
        early: false,
    };

    /// # Safety
    ///
    /// `module` must be null or valid.
    #[inline]
    unsafe fn get(module: *mut ffi::module) -> Result<Self> {
        if module.is_null() {
            return Ok(Self::NONE);
        }
        // SAFETY: The module is valid by the caller's promise. It is coming during its own init
        // function only, in which the caller is, or which waits for the caller; or it is not any
        // more, which this may not see yet: then one reference too many is counted.
        let early = unsafe { (&raw const (*module).state).read_volatile() }
            == ffi::module_state_MODULE_STATE_COMING;

        if early {
            count(module, |n| *n += 1)?;
        }
        // SAFETY: As above.
        if !unsafe { ffi::try_module_get(module) } {
            if early {
                let _ = count(module, |n| *n -= 1);
            }
            return Err(ESHUTDOWN);
        }
        Ok(Self { module, early })
    }

    /// # Safety
    ///
    /// The reference must come from [`Self::get`], and be put once.
    #[inline]
    unsafe fn put(self) {
        // SAFETY: By the caller's promise the module is null or valid. If the reference is an early
        // one, the module stays until the count says so, which it does last.
        unsafe { ffi::module_put(self.module) };
        if self.early {
            let _ = count(self.module, |n| *n -= 1);
        }
    }
}

/// Whether a task of this submitter need not hold its module, since the domain does: one reference on
/// its owner for as long as there are such tasks.
///
/// # Safety
///
/// `submitter` must be null or a valid module.
#[inline]
pub(super) unsafe fn is_held_by(domain: &AsyncDomain, submitter: *mut ffi::module) -> bool {
    submitter == domain.owner()
        && (submitter.is_null()
            // SAFETY: By the caller's promise. A module that is coming is held in another way. One that
            // comes alive meanwhile may be held in either; one that goes cannot be held any more.
            || unsafe { (&raw const (*submitter).state).read_volatile() }
                == ffi::module_state_MODULE_STATE_LIVE)
}

/// References on up to two modules: the one whose code a task runs, and the one whose memory the
/// domain may be in, if that is another one.
pub(super) struct ModuleRefs {
    submitter: ModuleRef,
    owner: ModuleRef,
}

// SAFETY: A module's reference count may be changed by any thread.
unsafe impl Send for ModuleRefs {}

/// [`ModuleRefs`] that somebody else keeps, who knows the submitter.
#[derive(Clone, Copy)]
pub(super) struct KeptRefs {
    early: bool,
    owner: ModuleRef,
}

impl KeptRefs {
    pub(super) const NONE: Self = Self {
        early: false,
        owner: ModuleRef::NONE,
    };

    /// Takes the references of a task whose modules its domain does not hold. See [`ModuleRefs::get`].
    ///
    /// # Safety
    ///
    /// As there.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn get(submitter: *mut ffi::module, domain: &AsyncDomain) -> Result<Self> {
        // SAFETY: By the caller's promise.
        Ok(unsafe { ModuleRefs::get(submitter, domain) }?.into_kept())
    }
}

/// A reference on the submitter alone, that somebody else keeps.
#[derive(Clone, Copy)]
pub(super) enum KeptRef {
    None,
    Held { early: bool },
}

impl KeptRef {
    /// Takes it, unless the submitter is a module that is running until it is put.
    ///
    /// # Safety
    ///
    /// As [`ModuleRefs::get`].
    pub(super) unsafe fn get(
        submitter: *mut ffi::module,
        running: *mut ffi::module,
    ) -> Result<Self> {
        if submitter == running {
            return Ok(Self::None);
        }
        // SAFETY: By the caller's promise.
        let ModuleRef { early, .. } = unsafe { ModuleRef::get(submitter) }?;
        Ok(Self::Held { early })
    }

    /// Takes it over.
    ///
    /// # Safety
    ///
    /// As [`ModuleRefs::from_kept`].
    pub(super) unsafe fn into_refs(self, submitter: *mut ffi::module) -> ModuleRefs {
        let mut refs = ModuleRefs::none();

        if let Self::Held { early } = self {
            refs.submitter = ModuleRef {
                module: submitter,
                early,
            };
        }
        refs
    }
}

impl ModuleRefs {
    /// Holds nothing.
    pub(super) const fn none() -> Self {
        Self {
            submitter: ModuleRef::NONE,
            owner: ModuleRef::NONE,
        }
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
    pub(super) unsafe fn get(submitter: *mut ffi::module, domain: &AsyncDomain) -> Result<Self> {
        let mut refs = Self::none();

        // SAFETY: By the caller's promise.
        refs.submitter = unsafe { ModuleRef::get(submitter) }?;
        if domain.owner() != submitter {
            refs.owner = Self::get_owner(domain)?;
        }
        Ok(refs)
    }

    /// Takes a reference on the module that made a domain, which may be going at the same time.
    fn get_owner(domain: &AsyncDomain) -> Result<ModuleRef> {
        // A module that goes is first taken out of its domains, and not freed before an RCU grace
        // period has passed after that.
        let _rcu = rcu::read_lock();

        // SAFETY: What is still in the domain is valid until the end of this section.
        unsafe { ModuleRef::get(domain.owner()) }
    }

    /// Takes over a reference that was the domain's, on its owner.
    ///
    /// # Safety
    ///
    /// There must be one, which is taken over once.
    pub(super) unsafe fn from_domain(owner: *mut ffi::module) -> Self {
        Self {
            submitter: ModuleRef {
                module: owner,
                early: false,
            },
            owner: ModuleRef::NONE,
        }
    }

    /// Gives the references to somebody else to keep.
    #[inline]
    pub(super) fn into_kept(self) -> KeptRefs {
        let refs = ManuallyDrop::new(self);

        KeptRefs {
            early: refs.submitter.early,
            owner: refs.owner,
        }
    }

    /// Takes over references that were kept.
    ///
    /// # Safety
    ///
    /// They must come from [`Self::into_kept`], with this submitter, and be taken over once.
    #[inline]
    pub(super) unsafe fn from_kept(submitter: *mut ffi::module, kept: KeptRefs) -> Self {
        Self {
            submitter: ModuleRef {
                module: submitter,
                early: kept.early,
            },
            owner: kept.owner,
        }
    }
}

impl Drop for ModuleRefs {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `get` has taken these references.
        unsafe {
            self.submitter.put();
            self.owner.put();
        }
    }
}
