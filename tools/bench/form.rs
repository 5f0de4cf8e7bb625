// SPDX-License-Identifier: GPL-2.0

//! The forms of asynchronous tasks that are compared, behind one trait.

use crate::ffi;
use async_domain::{
    new_async_domain,
    Cookie, //
    OwnedDomain,
    Submit,
    TaskContext,
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// What a task does.
pub(crate) trait Job: Sync + 'static {
    fn run(&self);
}

/// Something that runs tasks, and has cookies to wait for.
pub(crate) trait Form: Sync {
    type Cookie: Copy + Send + Sync;

    /// Submits a task.
    ///
    /// # Safety
    ///
    /// The job must stay valid until [`Self::drain`] has been called.
    unsafe fn schedule<J: Job>(&self, job: &J) -> Result<Self::Cookie>;

    /// Waits until a task and those before it are done.
    fn synchronize(&self, cookie: Self::Cookie);

    /// Waits until all tasks are done.
    fn drain(&self);
}

/// kernel/async.c, with a domain that `async_synchronize_full()` leaves alone.
pub(crate) struct Kernel(Pin<KBox<Opaque<ffi::async_domain>>>);

// SAFETY: The domain is protected by a lock of the kernel's.
unsafe impl Sync for Kernel {}

impl Kernel {
    pub(crate) fn new() -> Result<Self> {
        let domain = KBox::pin_init(
            Opaque::ffi_init(|slot: *mut ffi::async_domain| {
                // SAFETY: The slot is valid for writing, and pinned. An exclusive domain is a list
                // and zeroes (C's `ASYNC_DOMAIN_EXCLUSIVE()`).
                unsafe {
                    ptr::write_bytes(slot, 0, 1);
                    (*slot).pending.next = &raw mut (*slot).pending;
                    (*slot).pending.prev = &raw mut (*slot).pending;
                }
            }),
            GFP_KERNEL,
        )?;
        Ok(Self(domain))
    }

    pub(crate) fn raw(&self) -> *mut ffi::async_domain {
        self.0.get()
    }
}

impl Form for Kernel {
    type Cookie = u64;

    unsafe fn schedule<J: Job>(&self, job: &J) -> Result<u64> {
        let data = ptr::from_ref(job).cast_mut().cast();

        // SAFETY: The function expects a reference to the job, which is valid long enough by the
        // caller's promise. This is what `async_schedule_domain()` does.
        Ok(unsafe {
            ffi::async_schedule_node_domain(Some(run_job::<J>), data, ffi::NUMA_NO_NODE, self.raw())
        })
    }

    fn synchronize(&self, cookie: u64) {
        // SAFETY: The domain is valid.
        unsafe { ffi::async_synchronize_cookie_domain(cookie + 1, self.raw()) };
    }

    fn drain(&self) {
        // SAFETY: The domain is valid.
        unsafe { ffi::async_synchronize_full_domain(self.raw()) };
    }
}

/// This project's domains, with closures.
pub(crate) struct Domain(pub(crate) Arc<OwnedDomain>);

impl Domain {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Arc::new(
            new_async_domain!("bench", exclusive, GFP_KERNEL)?,
            GFP_KERNEL,
        )?))
    }
}

impl Form for Domain {
    type Cookie = Cookie;

    unsafe fn schedule<J: Job>(&self, job: &J) -> Result<Cookie> {
        let job = JobPointer(ptr::from_ref(job));

        let run = move |_: &TaskContext<'_>| {
            // SAFETY: The job is valid long enough by the promise of who submitted it.
            unsafe { job.get() }.run();
        };
        Ok(self.0.schedule(GFP_KERNEL, run)?)
    }

    fn synchronize(&self, cookie: Cookie) {
        // It fails in tasks of the domain only, which we are not.
        let _ = self.0.synchronize(..=cookie);
    }

    fn drain(&self) {
        let _ = self.0.synchronize(..);
    }
}

struct JobPointer<J>(*const J);

// SAFETY: What it points to may be used by any thread.
unsafe impl<J: Sync> Send for JobPointer<J> {}

impl<J> JobPointer<J> {
    /// # Safety
    ///
    /// The job must be valid.
    unsafe fn get(&self) -> &J {
        // SAFETY: By the caller's promise.
        unsafe { &*self.0 }
    }
}

/// The small cores in C. See `async_core.c`.
pub(crate) struct Core(NonNull<ffi::bench_async>);

// SAFETY: The core has a lock.
unsafe impl Sync for Core {}

impl Core {
    /// With the filter that was proposed for kernel/async.c in 2025.
    pub(crate) fn patch2025() -> Result<Self> {
        Self::new(ffi::bench_async_kind_BENCH_ASYNC_PATCH2025)
    }

    /// With sorted waiters, and one lock for tasks and waiters.
    pub(crate) fn limit() -> Result<Self> {
        Self::new(ffi::bench_async_kind_BENCH_ASYNC_LIMIT)
    }

    fn new(kind: ffi::bench_async_kind) -> Result<Self> {
        // SAFETY: It may always be called.
        let core = NonNull::new(unsafe { ffi::bench_async_create(kind) });

        Ok(Self(core.ok_or(ENOMEM)?))
    }
}

impl Form for Core {
    type Cookie = u64;

    unsafe fn schedule<J: Job>(&self, job: &J) -> Result<u64> {
        let data = ptr::from_ref(job).cast_mut().cast();

        // SAFETY: As for the kernel's form.
        match unsafe { ffi::bench_async_schedule(self.0.as_ptr(), Some(run_job::<J>), data) } {
            0 => Err(ENOMEM),
            cookie => Ok(cookie),
        }
    }

    fn synchronize(&self, cookie: u64) {
        // SAFETY: The core is valid.
        unsafe { ffi::bench_async_synchronize_cookie(self.0.as_ptr(), cookie + 1) };
    }

    fn drain(&self) {
        // SAFETY: The core is valid.
        unsafe { ffi::bench_async_synchronize_cookie(self.0.as_ptr(), u64::MAX) };
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: The core was created by `new`, and there are no waiters, which would borrow it.
        unsafe { ffi::bench_async_destroy(self.0.as_ptr()) };
    }
}

/// Runs a job for C.
///
/// # Safety
///
/// `data` must be a reference to a `J`.
pub(crate) unsafe extern "C" fn run_job<J: Job>(data: *mut c_void, _cookie: u64) {
    // SAFETY: By the caller's promise.
    unsafe { &*data.cast::<J>() }.run();
}
