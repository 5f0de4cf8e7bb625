// SPDX-License-Identifier: GPL-2.0

//! Lock classes of this module's own.
//!
//! Lockdep keeps a class together with its name, and warns of a class that comes with another one. In generic
//! and inlined code the key of `static_lock_class!()` is one variable, in this module, whereas a string is a
//! constant of each module that instantiates the code: each has another name for the class, which is gone
//! when that module is. So locks in such code get both from here.
//!
//! Macros, such as [`new_async_domain!`](crate::new_async_domain), expand to a key and a name in the module
//! that uses them.

use kernel::{
    prelude::*,
    sync::LockClassKey, //
};

/// The key and the name of a class.
pub(crate) struct LockClass {
    key: LockClassKey,
    name: &'static CStr,
}

impl LockClass {
    /// # Safety
    ///
    /// The value must be the initial value of a `static` of this crate. (A constant would be a class of its own
    /// in each module.)
    // Tested by: nothing: ; every boot runs it.
    const unsafe fn new(name: &'static CStr) -> Self {
        Self {
            // SAFETY: It is in a static by the caller's promise, and so pinned and never dropped.
            key: unsafe { LockClassKey::new_static() },
            name,
        }
    }

    /// The key.
    pub(crate) fn key(&'static self) -> Pin<&'static LockClassKey> {
        Pin::static_ref(&self.key)
    }

    /// The name.
    pub(crate) fn name(&'static self) -> &'static CStr {
        self.name
    }
}

/// The lock of a [`Handle`](crate::Handle).
// SAFETY: It is a static.
// Tested by: test lock-classes.
pub(crate) static HANDLE: LockClass = unsafe { LockClass::new(c"async_domain handle") };

/// The lock of a [`Scope`](crate::Scope).
// SAFETY: It is a static.
// Tested by: test lock-classes.
pub(crate) static SCOPE: LockClass = unsafe { LockClass::new(c"async_domain scope") };

/// Work items: what runs as if it held a lock.
// SAFETY: It is a static.
// Tested by: test lock-classes.
pub(crate) static WORK: LockClass = unsafe { LockClass::new(c"async_domain task") };
