// SPDX-License-Identifier: GPL-2.0

//! Tasks made of closures, in memory that is allocated for them.
//!
//! The table of a task's functions names the module that they are in, which is the one that the
//! compiler instantiates them in. For that to be the submitter also where the kernel is optimised for
//! size, and crates share instantiations, every generic function between a submitter and the table is
//! `#[inline]`: such functions are instantiated in each crate that uses them. (A submitter that passes
//! a `fn` or a boxed closure to a function of another module that is not generic has it run by that
//! module, and holds only that one.)

use super::{
    error::SubmitError,
    outcome::Outcome,
    target::Destination, //
};
use crate::{
    domain::core::{
        context::TaskContext,
        cookie::Cookie,
        header::{
            Ops,
            Task, //
        }, //
    },
    ffi, //
};
use core::{
    marker::PhantomData,
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ptr::NonNull, //
};
use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// A task in memory of its own, which holds what the task is made of.
///
/// # Safety
///
/// `OPS` must fit tasks that were made by [`submit`] with this type: its functions may take `Self`
/// out of the task, once, and must not touch the task afterwards otherwise than they declare.
pub(crate) unsafe trait Body: Sized + Send {
    /// What is done with such a task.
    const OPS: Ops;
}

#[repr(C)]
struct Boxed<B> {
    task: Task,
    body: MaybeUninit<B>,
}

/// Makes a task of a body and submits it; gives the body back if that fails.
///
/// # Safety
///
/// What the body borrows must be usable until a task that goes there is finished.
#[inline]
// Tested by: mutant limit-ignored, kunit out_of_memory_gives_the_closure_back.
pub(crate) unsafe fn submit<B: Body>(
    to: Destination<'_>,
    flags: Flags,
    body: B,
) -> Result<Cookie, SubmitError<B>> {
    let task = match alloc_uninit::<B>(flags) {
        Ok(task) => task,
        Err(error) => return Err(SubmitError { error, task: body }),
    };

    // SAFETY: The task has just been made for such a body, and has none yet; the caller answers for what it
    // borrows.
    let ret = unsafe {
        put(task, body);
        to.domain.submit_task(task, to.nid, to.scope)
    };
    ret.map_err(|error| SubmitError {
        error,
        // SAFETY: The task is still ours: it was not queued.
        task: unsafe { take_back(task) },
    })
}

/// Allocates a task without its body.
#[inline]
// Tested by: kunit each_closure_is_called_and_dropped_once, kunit out_of_memory_gives_the_closure_back.
pub(crate) fn alloc_uninit<B: Body>(flags: Flags) -> Result<NonNull<Task>> {
    let task: *mut Boxed<B> = KBox::into_raw(KBox::<Boxed<B>>::new_uninit(flags)?).cast();

    // SAFETY: The memory was just allocated for a task of this type, and is ours.
    unsafe {
        Task::init(task.cast(), &B::OPS);
        Ok(NonNull::new_unchecked(task.cast()))
    }
}

/// Puts the body into a task.
///
/// # Safety
///
/// `task` must come from [`alloc_uninit`] with this type, belong to the caller and have no body.
#[inline]
// Tested by: kunit each_closure_is_called_and_dropped_once, kunit out_of_memory_gives_the_closure_back.
pub(crate) unsafe fn put<B: Body>(task: NonNull<Task>, body: B) {
    // SAFETY: The task is the first field of such a box.
    unsafe { (*task.as_ptr().cast::<Boxed<B>>()).body.write(body) };
}

/// The body of a task, while it has one.
///
/// # Safety
///
/// `task` must be of this type.
#[inline]
// Tested by: nothing: what it returns is used like that of take.
pub(crate) unsafe fn body<B: Body>(task: NonNull<Task>) -> *mut B {
    // SAFETY: The task is the first field of such a box.
    unsafe { (&raw mut (*task.as_ptr().cast::<Boxed<B>>()).body).cast() }
}

/// Takes the body out of a task.
///
/// # Safety
///
/// `task` must be of this type, and have a body, which it has no longer afterwards.
#[inline]
// Tested by: kunit each_closure_is_called_and_dropped_once, kunit out_of_memory_gives_the_closure_back.
pub(crate) unsafe fn take<B: Body>(task: NonNull<Task>) -> B {
    // SAFETY: The task is the first field of such a box.
    unsafe { (*task.as_ptr().cast::<Boxed<B>>()).body.assume_init_read() }
}

/// Takes the body out of a task that was not queued, and frees the task.
///
/// # Safety
///
/// `task` must come from [`alloc_uninit`] with this type, belong to the caller and have a body.
#[inline]
// Tested by: kunit each_closure_is_called_and_dropped_once, kunit out_of_memory_gives_the_closure_back.
pub(crate) unsafe fn take_back<B: Body>(task: NonNull<Task>) -> B {
    // SAFETY: The task belongs to the caller, and has such a body until here.
    unsafe {
        let body = take(task);
        free(task);
        body
    }
}

/// Frees a task that was not queued and has no body.
///
/// # Safety
///
/// `task` must come from [`alloc_uninit`], and belong to the caller.
#[inline]
// Tested by: kunit each_closure_is_called_and_dropped_once, kunit out_of_memory_gives_the_closure_back.
pub(crate) unsafe fn free(task: NonNull<Task>) {
    // SAFETY: The memory comes from a `KBox`, which is `kmalloc()`ed; the task has no destructor.
    unsafe { ffi::kfree(task.as_ptr().cast()) };
}

/// A closure that is run in one go.
pub(crate) struct Closure<F, O> {
    func: F,
    _outcome: PhantomData<fn() -> O>,
}

impl<F, O> Closure<F, O>
where
    F: FnOnce(&TaskContext<'_>) -> O + Send,
    O: Outcome,
{
    #[inline]
    pub(crate) fn new(func: F) -> Self {
        Self {
            func,
            _outcome: PhantomData,
        }
    }

    /// The closure.
    #[inline]
    pub(crate) fn into_inner(self) -> F {
        self.func
    }

    /// # Safety
    ///
    /// `task` must have such a body, which it has no longer afterwards.
    // Tested by: mutant closure-leaked-on-cancel, kunit shuffled_tasks_retire_in_order.
    unsafe fn run(task: NonNull<Task>, context: &TaskContext<'_>) {
        // SAFETY: The task has such a body.
        let Self { func, .. } = unsafe { take(task) };
        func(context).report(context)
    }

    /// # Safety
    ///
    /// As above.
    // Tested by: mutant closure-leaked-on-cancel, kunit shuffled_tasks_retire_in_order.
    unsafe fn discard(task: NonNull<Task>) {
        // SAFETY: The task has such a body.
        drop(unsafe { take::<Self>(task) })
    }
}

// SAFETY: `run` or `discard` takes the body, whichever is called.
// Tested by: kunit unfinished_tasks_hold_their_module, compile-fail closure_not_send.
unsafe impl<F, O> Body for Closure<F, O>
where
    F: FnOnce(&TaskContext<'_>) -> O + Send,
    O: Outcome,
{
    const OPS: Ops = Ops {
        run: Self::run,
        retire: None,
        discard: Self::discard,
        settle: None,
        callers_memory: false,
        module: ffi::this_module(),
    };
}

/// A closure that runs in parallel, and one that runs in order with what the first returned.
pub(crate) struct Ordered<W, R, T, O> {
    work: Parallel<W, T>,
    retire: R,
    _outcome: PhantomData<fn() -> O>,
}

/// The parallel part, or what it has returned: it is `new` until it is run, and then `done`.
union Parallel<W, T> {
    new: ManuallyDrop<W>,
    done: ManuallyDrop<T>,
}

impl<W, R, T, O> Ordered<W, R, T, O>
where
    W: FnOnce(&TaskContext<'_>) -> T + Send,
    R: FnOnce(T, &TaskContext<'_>) -> O + Send,
    T: Send,
    O: Outcome,
{
    pub(crate) fn new(work: W, retire: R) -> Self {
        Self {
            work: Parallel {
                new: ManuallyDrop::new(work),
            },
            retire,
            _outcome: PhantomData,
        }
    }

    /// With what `work` has returned.
    fn done(value: T, retire: R) -> Self {
        Self {
            work: Parallel {
                done: ManuallyDrop::new(value),
            },
            retire,
            _outcome: PhantomData,
        }
    }

    /// The closures.
    ///
    /// # Safety
    ///
    /// `work` must not have been run.
    // Tested by: mutant closure-leaked-on-cancel, kunit shuffled_tasks_retire_in_order.
    pub(crate) unsafe fn into_parts(self) -> (W, R) {
        // SAFETY: By the caller's promise.
        let work = unsafe { self.work.new };
        (ManuallyDrop::into_inner(work), self.retire)
    }

    /// # Safety
    ///
    /// `task` must have such a body, which has not been run.
    // Tested by: mutant closure-leaked-on-cancel, kunit shuffled_tasks_retire_in_order.
    unsafe fn run(task: NonNull<Task>, context: &TaskContext<'_>) {
        // SAFETY: By the caller's promise; a body is put back, which has been run.
        unsafe {
            let (work, retire) = take::<Self>(task).into_parts();
            put(task, Self::done(work(context), retire));
        }
    }

    /// # Safety
    ///
    /// `task` must have such a body, which has been run; it has none afterwards.
    // Tested by: mutant closure-leaked-on-cancel, kunit shuffled_tasks_retire_in_order.
    unsafe fn retire(task: NonNull<Task>, context: &TaskContext<'_>) {
        // SAFETY: By the caller's promise.
        let (done, retire) = unsafe {
            let Self { work, retire, .. } = take(task);
            (work.done, retire)
        };
        retire(ManuallyDrop::into_inner(done), context).report(context)
    }

    /// # Safety
    ///
    /// `task` must have such a body, which has not been run; it has none afterwards.
    // Tested by: mutant closure-leaked-on-cancel, kunit shuffled_tasks_retire_in_order.
    unsafe fn discard(task: NonNull<Task>) {
        // SAFETY: By the caller's promise.
        drop(unsafe { take::<Self>(task).into_parts() })
    }
}

// SAFETY: `run` changes the body, `retire` takes it afterwards, or `discard` takes it instead.
// Tested by: kunit unfinished_tasks_hold_their_module, compile-fail closure_not_send.
unsafe impl<W, R, T, O> Body for Ordered<W, R, T, O>
where
    W: FnOnce(&TaskContext<'_>) -> T + Send,
    R: FnOnce(T, &TaskContext<'_>) -> O + Send,
    T: Send,
    O: Outcome,
{
    const OPS: Ops = Ops {
        run: Self::run,
        retire: Some(Self::retire),
        discard: Self::discard,
        settle: None,
        callers_memory: false,
        module: ffi::this_module(),
    };
}
