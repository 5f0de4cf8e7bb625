// SPDX-License-Identifier: GPL-2.0

//! Tasks: a function, its place in the order, and the work item that runs it.
//!
//! From the moment a task counts as finished, nothing of the module that submitted it is used on
//! its behalf: the closure has been consumed and its destructors have run before the submitter's
//! code returns to [`Task::run`], and what follows there is this module's own. Only then is the
//! reference on the submitting module dropped.

use super::{
    modules::ModuleRefs,
    pending::Node,
    running::Run,
    AsyncDomain,
    Context, //
};
use crate::{
    ffi,
    queue, //
};
use core::{
    mem::MaybeUninit,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    alloc::Flags,
    container_of,
    prelude::*,
    types::Opaque, //
};

/// The part of a task that does not depend on the type of its closure.
///
/// # Invariants
///
/// From the time it is queued until it is freed by [`Task::run`], a task is the first field of a
/// [`ClosureTask<F>`] whose closure `call` consumes.
#[repr(C)]
pub(super) struct Task {
    /// The place in the order.
    pub(super) node: Node,
    work: Opaque<ffi::work_struct>,
    call: unsafe fn(NonNull<Task>, &Context<'_>),
    /// The domain in whose order `node` is.
    pub(super) domain: *const AsyncDomain,
    /// Keeps the code of `call`, and the domain if it is static, where it is.
    pub(super) modules: ModuleRefs,
}

/// A task that has not been submitted yet, with a closure of type `F`.
#[repr(C)]
pub(super) struct ClosureTask<F> {
    task: Task,
    func: MaybeUninit<F>,
}

impl<F: FnOnce(&Context<'_>) + Send + 'static> ClosureTask<F> {
    /// Allocates a task; gives the closure back if there is no memory.
    #[inline]
    pub(super) fn alloc(func: F, flags: Flags) -> Result<NonNull<Task>, F> {
        let Ok(memory) = KBox::<Self>::new_uninit(flags) else {
            return Err(func);
        };
        let task: *mut Self = KBox::into_raw(memory).cast();

        // SAFETY: The memory was just allocated for a `Self`, and is ours.
        unsafe {
            (&raw mut (*task).func).write(MaybeUninit::new(func));
            Task::init(task.cast(), Self::call);
            Ok(NonNull::new_unchecked(task.cast()))
        }
    }

    /// Takes the closure back out of a task that was not queued, and frees it.
    ///
    /// # Safety
    ///
    /// `task` must come from [`Self::alloc`] and must not have been queued.
    pub(super) unsafe fn into_func(task: NonNull<Task>) -> F {
        // SAFETY: The task is the first field of a `Self` that is ours. The closure is read once,
        // and the memory freed as what it was allocated as.
        unsafe {
            let memory = KBox::from_raw(task.as_ptr().cast::<MaybeUninit<Self>>());
            (&raw const (*memory.as_ptr()).func).read().assume_init()
        }
    }

    /// Runs the closure.
    ///
    /// # Safety
    ///
    /// `task` must come from [`Self::alloc`], and this must be called once only.
    unsafe fn call(task: NonNull<Task>, context: &Context<'_>) {
        // SAFETY: The task is the first field of a `Self` whose closure has not been read yet.
        let func = unsafe {
            (&raw const (*task.as_ptr().cast::<Self>()).func)
                .read()
                .assume_init()
        };
        func(context)
    }
}

impl Task {
    /// Initialises the header of a task.
    ///
    /// # Safety
    ///
    /// `this` must be valid for writing.
    unsafe fn init(this: *mut Self, call: unsafe fn(NonNull<Task>, &Context<'_>)) {
        // SAFETY: `this` is valid for writing.
        unsafe {
            (&raw mut (*this).node).write(Node::new());
            ffi::init_work::<Self>(Opaque::cast_into(&raw const (*this).work));
            (&raw mut (*this).call).write(call);
            (&raw mut (*this).domain).write(ptr::null());
            (&raw mut (*this).modules).write(ModuleRefs::none());
        }
    }

    /// Hands the task over to the workqueue.
    ///
    /// # Safety
    ///
    /// `this` must come from [`ClosureTask::alloc`] and be in the order of its domain; it belongs to
    /// the workqueue from now on.
    #[inline]
    pub(super) unsafe fn enqueue(this: NonNull<Self>) {
        // SAFETY: The work item was initialised with the task, is queued once only, and valid until
        // `run` frees it.
        unsafe { queue::enqueue(Opaque::cast_into(&raw const (*this.as_ptr()).work)) }
    }
}

// SAFETY: `run` does not touch the work item after it has freed it.
unsafe impl ffi::WorkFunction for Task {
    unsafe fn run(work: *mut ffi::work_struct) {
        // SAFETY: By the type invariant, a queued work item of this type is in a `Task`.
        let task = unsafe {
            let work: *mut Opaque<ffi::work_struct> = work.cast();
            NonNull::new_unchecked(container_of!(work, Task, work))
        };
        let this = task.as_ptr();

        // SAFETY: The task is ours until it is freed below. Its domain is not dropped before the
        // task is finished or detached, its module cannot be unloaded before the reference is put.
        // The closure is called once: a task is queued once only. A worker runs one item at a time,
        // and so is not inside another task.
        unsafe {
            let domain = (*this).domain;
            let attached = AsyncDomain::lockdep_task(domain, || {
                Run::enter(domain, &raw mut (*this).node, false, |run| {
                    ((*this).call)(task, &Context::new(run))
                })
            });

            if attached {
                (*domain).finish(&raw mut (*this).node);
            }
            // The domain may be gone from here on, and with it all that its owner had.
            let modules = ptr::replace(&raw mut (*this).modules, ModuleRefs::none());
            ffi::kfree(this.cast());
            drop(modules);
        }
    }
}
