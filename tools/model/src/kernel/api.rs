// SPDX-License-Identifier: GPL-2.0

//! The names of the kernel crate that the module's source uses, with as much behind them as the model
//! needs: hardly anything, but for `sync::atomic`.

use std::ptr::NonNull;

pub mod prelude {
    pub use super::error::{
        code::*,
        Error,
        Result, //
    };
    pub use super::{
        alloc::{
            KBox,
            KVec, //
            GFP_ATOMIC,
        },
        init::PinInit, //
    };
    pub use crate::{
        pr_warn,
        CStr,
        CStrExt as _, //
    };
    pub use core::{
        ffi::{
            c_char,
            c_int,
            c_long,
            c_uint,
            c_ulong,
            c_void, //
        },
        pin::Pin,
        ptr::NonNull, //
    };
}

pub mod error {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Error(pub i32);

    impl Error {
        pub fn to_errno(self) -> i32 {
            self.0
        }
    }

    pub type Result<T = (), E = Error> = core::result::Result<T, E>;

    pub mod code {
        use super::Error;
        macro_rules! codes {
            ($($name:ident = $value:literal,)*) => {$(pub const $name: Error = Error(-$value);)*};
        }
        codes! {
            EAGAIN = 11, ENOMEM = 12, EBUSY = 16, EINVAL = 22, EDEADLK = 35,
            ESHUTDOWN = 108, ETIMEDOUT = 110, ECANCELED = 125, ERESTARTSYS = 512,
        }
    }
}

pub mod device {
    /// Nobody looks into it.
    pub struct Device;
}

pub mod alloc {
    use super::error::Result;
    use crate::model::world;
    use core::ops::{
        Deref,
        DerefMut, //
    };

    #[derive(Clone, Copy)]
    pub struct Flags;

    pub const GFP_ATOMIC: Flags = Flags;

    pub struct KVec<T>(Vec<T>);

    impl<T> KVec<T> {
        pub const fn new() -> Self {
            Self(Vec::new())
        }

        pub fn push(&mut self, value: T, _flags: Flags) -> Result {
            self.0.push(value);
            Ok(())
        }
    }

    impl<T> Deref for KVec<T> {
        type Target = Vec<T>;

        fn deref(&self) -> &Vec<T> {
            &self.0
        }
    }

    impl<T> DerefMut for KVec<T> {
        fn deref_mut(&mut self) -> &mut Vec<T> {
            &mut self.0
        }
    }

    /// A box, whose memory nobody may use when it has been dropped.
    pub struct KBox<T>(*mut T);

    impl<T> KBox<T> {
        pub fn new(value: T, _flags: Flags) -> Result<Self> {
            let memory: *mut T = world::allocate("a box");
            // SAFETY: The memory is ours.
            unsafe { memory.write(value) };
            Ok(Self(memory))
        }
    }

    impl<T> Deref for KBox<T> {
        type Target = T;

        fn deref(&self) -> &T {
            // SAFETY: The memory is ours, and was initialised.
            unsafe { &*self.0 }
        }
    }

    impl<T> Drop for KBox<T> {
        fn drop(&mut self) {
            // SAFETY: As above. The world keeps the memory.
            unsafe { self.0.drop_in_place() };
            world::memory_ends(self.0.addr());
        }
    }
}

pub mod init {
    /// Initialises in place.
    pub trait PinInit<T> {}
    pub struct FromClosure<F>(pub F);
    impl<T, F: FnOnce(*mut T) -> Result<(), core::convert::Infallible>> PinInit<T> for FromClosure<F> {}
}

/// # Safety
///
/// As the kernel's.
pub unsafe fn pin_init_from_closure<T, F>(f: F) -> impl init::PinInit<T>
where
    F: FnOnce(*mut T) -> Result<(), core::convert::Infallible>,
{
    init::FromClosure(f)
}

pub use core::{
    ffi::CStr,
    fmt, //
};

/// What `&CStr` has there.
pub trait CStrExt {
    fn as_char_ptr(&self) -> *const core::ffi::c_char;
}

impl CStrExt for CStr {
    fn as_char_ptr(&self) -> *const core::ffi::c_char {
        self.as_ptr()
    }
}

#[macro_export]
macro_rules! pr_warn {
    ($($t:tt)*) => {{ let _ = format_args!($($t)*); }};
}

#[macro_export]
macro_rules! static_lock_class {
    () => {
        $crate::sync::LockClassKey::key()
    };
}

#[macro_export]
macro_rules! container_of {
    ($field:expr, $container:ty, $($path:tt)+) => {{
        let field = $field;
        field.byte_sub(::core::mem::offset_of!($container, $($path)+)).cast::<$container>()
    }};
}

pub mod types {
    use core::{
        cell::UnsafeCell,
        marker::PhantomData,
        mem::MaybeUninit, //
    };

    #[repr(transparent)]
    pub struct Opaque<T>(UnsafeCell<MaybeUninit<T>>);

    impl<T> Opaque<T> {
        pub const fn uninit() -> Self {
            Self(UnsafeCell::new(MaybeUninit::uninit()))
        }
        pub const fn get(&self) -> *mut T {
            self.0.get().cast()
        }
        pub const fn cast_into(this: *const Self) -> *mut T {
            this.cast_mut().cast()
        }
    }

    pub type NotThreadSafe = PhantomData<*mut ()>;
    #[allow(non_upper_case_globals)]
    pub const NotThreadSafe: NotThreadSafe = PhantomData;
}

pub mod task {
    use core::ffi::c_long;
    pub const MAX_SCHEDULE_TIMEOUT: c_long = c_long::MAX;
    pub fn might_sleep() {}
}

pub mod time {
    use core::{
        marker::PhantomData,
        ops, //
    };

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Delta(i64);

    impl Delta {
        pub const fn from_nanos(nanos: i64) -> Self {
            Self(nanos)
        }
        pub const fn as_nanos(self) -> i64 {
            self.0
        }
    }

    pub struct Monotonic;

    /// There is no time.
    pub struct Instant<C>(PhantomData<C>);

    impl<C> Instant<C> {
        pub fn now() -> Self {
            Self(PhantomData)
        }
    }

    impl<C> ops::Sub for Instant<C> {
        type Output = Delta;

        fn sub(self, _: Self) -> Delta {
            Delta(0)
        }
    }
}

pub mod sync {
    use core::pin::Pin;

    pub struct LockClassKey;

    impl LockClassKey {
        pub const unsafe fn new_static() -> Self {
            Self
        }
        pub fn key() -> Pin<&'static Self> {
            Pin::static_ref(&LockClassKey)
        }
        pub fn as_ptr(&self) -> *mut Self {
            core::ptr::null_mut()
        }
    }

    pub use crate::model::atomic::Refcount;

    /// No module goes while its tasks are submitted.
    pub mod rcu {
        pub fn read_lock() {}
    }

    pub mod atomic {
        pub use crate::model::atomic::Atomic;
        pub mod ordering {
            pub use crate::model::atomic::Order::*;
        }
    }
}
