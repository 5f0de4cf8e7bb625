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
    /// The key.
    pub(crate) fn key(&'static self) -> Pin<&'static LockClassKey> {
        Pin::static_ref(&self.key)
    }

    /// The name.
    pub(crate) fn name(&'static self) -> &'static CStr {
        self.name
    }
}

/// Defines the classes. Only statics are made of them: a constant would be a class of its own in each module.
// Tested by: test lock-classes.
macro_rules! lock_classes {
    ($($(#[$doc:meta])* $name:ident = $string:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) static $name: LockClass = LockClass {
            // SAFETY: It is in a static, and so pinned and never dropped.
            key: unsafe { LockClassKey::new_static() },
            name: $string,
        };
    )*};
}

lock_classes! {
    /// The lock of a [`Handle`](crate::Handle).
    HANDLE = c"async_domain handle";
    /// The lock of a [`Scope`](crate::Scope).
    SCOPE = c"async_domain scope";
    /// Work items: lockdep treats a running one as a lock that is held.
    WORK = c"async_domain task";
}
