// SPDX-License-Identifier: GPL-2.0

//! Tasks in memory that the caller brings.

use super::{
    error::SubmitError,
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
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// The header of a task, embedded in a structure of the caller's.
///
/// `T` is the structure. One with several headers tells them apart by `ID`. Declare the field with
/// [`impl_has_task!`](crate::impl_has_task), and say what is run with [`TaskItem`].
///
/// # Examples
///
/// ```
/// use async_domain::{impl_has_task, new_async_domain, Submit, TaskContext, TaskHeader, TaskItem};
/// use kernel::sync::Arc;
///
/// #[pin_data]
/// struct Request {
///     sector: u64,
///     #[pin]
///     task: TaskHeader<Self>,
/// }
///
/// impl_has_task! {
///     impl HasTask<Self> for Request { self.task }
/// }
///
/// impl TaskItem for Request {
///     type Pointer = Arc<Self>;
///
///     fn run(this: Arc<Self>, _context: &TaskContext<'_>) {
///         pr_info!("sector {}\n", this.sector);
///     }
/// }
///
/// let request = Arc::pin_init(
///     pin_init!(Request { sector: 17, task <- TaskHeader::new() }),
///     GFP_KERNEL,
/// )?;
/// let domain = new_async_domain!("requests", GFP_KERNEL)?;
///
/// // Never allocates.
/// domain.submit(request)?;
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct TaskHeader<T: ?Sized, const ID: u64 = 0> {
    task: Opaque<Task>,
    _item: PhantomData<fn(T)>,
}

// SAFETY: The header is used by the domain under its lock, and by whoever claims it.
// Tested by: mutant item-claimed-twice, kunit a_queued_item_is_handed_back.
unsafe impl<T: ?Sized, const ID: u64> Send for TaskHeader<T, ID> {}
// SAFETY: As above.
// Tested by: mutant item-claimed-twice, kunit a_queued_item_is_handed_back.
unsafe impl<T: ?Sized, const ID: u64> Sync for TaskHeader<T, ID> {}

impl<T: TaskItem<ID>, const ID: u64> TaskHeader<T, ID> {
    /// Makes a header that is not queued.
    #[inline]
    // Tested by: kunit an_item_has_several_headers_and_never_allocates, compile-fail item_header_by_hand.
    pub fn new() -> impl PinInit<Self> {
        // SAFETY: The slot is valid for writing, and pinned from now on; it is initialised, which does not fail. The
        // functions expect a header in a `T`; only a `T` names this type.
        unsafe {
            pin_init::pin_init_from_closure(|slot: *mut Self| {
                Task::init(slot.cast(), &<Item<T, ID>>::OPS);
                Ok(())
            })
        }
    }
}

/// A structure that has a [`TaskHeader`]; implemented by
/// [`impl_has_task!`](crate::impl_has_task).
///
/// # Safety
///
/// [`Self::OFFSET`] must be the offset of a field of type `TaskHeader<T, ID>`.
pub unsafe trait HasTask<T: ?Sized, const ID: u64 = 0>: Sized {
    /// Where the header is.
    const OFFSET: usize;
}

/// Declares in which field a structure has a [`TaskHeader`].
///
/// Several headers in one structure have different numbers:
/// `impl HasTask<Self, 1> for Request { self.second }`.
#[macro_export]
macro_rules! impl_has_task {
    ($(impl HasTask<Self $(, $id:tt)?> for $self:ty { self.$field:ident })*) => {$(
        // SAFETY: `OFFSET` is that of a field of `Self`, and this compiles only if the field is a header
        // for `Self`: a raw pointer to it is not coerced to one to anything else.
        // Tested by: kunit an_item_has_several_headers_and_never_allocates, compile-fail item_header_by_hand.
        unsafe impl $crate::domain::HasTask<Self $(, $id)?> for $self {
            const OFFSET: usize = {
                let _: fn(&Self) -> *const $crate::domain::TaskHeader<Self $(, $id)?> =
                    |this| &raw const this.$field;

                $crate::__private::core::mem::offset_of!(Self, $field)
            };
        }
    )*};
}

/// What is run when an item is.
pub trait TaskItem<const ID: u64 = 0>: HasTask<Self, ID> + Send + Sync + 'static {
    /// How the item is held: `Arc<Self>` or `Pin<KBox<Self>>`.
    type Pointer: TaskPointer<ID, Item = Self>;

    /// Runs the item. It is not queued any more: it may be submitted again, or dropped.
    ///
    /// (An item that its own function frees, while the function goes on, and whose memory is used
    /// for another item at once, may see the latter wait for the function to return. This is how
    /// the kernel's workqueues recognise items; see `process_one_work()`.)
    fn run(this: Self::Pointer, context: &TaskContext<'_>);
}

/// A pointer that owns an item, or a share in it.
///
/// # Examples
///
/// ```
/// use async_domain::domain::TaskPointer;
///
/// // What a domain does with an item meanwhile, it does by its address.
/// fn there_and_back<P: TaskPointer<0>>(item: P) -> P {
///     let raw = item.into_raw();
///
///     // SAFETY: It was given up just now.
///     unsafe { P::from_raw(raw) }
/// }
///
/// // And what a token does, when it has finished, with its share.
/// fn put<P: TaskPointer<0>>(item: P) {
///     let raw = item.into_raw();
///
///     // SAFETY: It was given up just now, and is used once more only if others do not own the item, too.
///     unsafe {
///         if !P::put_shared(raw) {
///             drop(P::from_raw(raw));
///         }
///     }
/// }
/// ```
///
/// # Safety
///
/// `into_raw` must give a pointer to an item that is valid until it goes through `from_raw`, or `put_shared` returns
/// `true`; that must return `true` if and only if it has given the pointer up, and must not drop the item.
pub unsafe trait TaskPointer<const ID: u64>: Send + 'static {
    /// What it points to.
    type Item: HasTask<Self::Item, ID>;

    /// Gives the pointer up.
    fn into_raw(self) -> *const Self::Item;

    /// Takes the pointer back.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`Self::into_raw`], and be taken back once.
    unsafe fn from_raw(ptr: *const Self::Item) -> Self;

    /// Gives the pointer up for good, without [`Self::from_raw`], if others own the item, too; returns whether it has.
    ///
    /// Called with a spin lock held: it never drops the item. Without it, an [`ItemToken`](crate::ItemToken) that is
    /// finished takes its domain's lock once more.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`Self::into_raw`], and must not be used any more if this returns `true`.
    unsafe fn put_shared(_ptr: *const Self::Item) -> bool {
        false
    }
}

// SAFETY: The item is valid as long as there is a reference, which `into_raw` keeps.
// Tested by: kunit a_refused_item_is_handed_back, compile-fail item_with_other_pointer.
unsafe impl<T: HasTask<T, ID> + Send + Sync + 'static, const ID: u64> TaskPointer<ID> for Arc<T> {
    type Item = T;

    fn into_raw(self) -> *const T {
        Arc::into_raw(self)
    }

    // Tested by: kunit a_refused_item_is_handed_back, compile-fail item_with_other_pointer.
    unsafe fn from_raw(ptr: *const T) -> Self {
        // SAFETY: By the caller's promise.
        unsafe { Arc::from_raw(ptr) }
    }

    // Tested by: kunit a_token_drops_its_item_before_it_is_done, kunit the_item_is_dropped_once_or_given_back.
    unsafe fn put_shared(ptr: *const T) -> bool {
        // SAFETY: The pointer comes from `into_raw`. The reference is given up, or goes back to where it was.
        let last = Arc::into_unique_or_drop(unsafe { Arc::from_raw(ptr) });

        last.map(|item| Arc::into_raw(Arc::from(item))).is_none()
    }
}

// SAFETY: The item is valid as long as the box, which `into_raw` keeps; it stays pinned.
// Tested by: kunit a_refused_item_is_handed_back, compile-fail item_with_other_pointer.
unsafe impl<T: HasTask<T, ID> + Send + 'static, const ID: u64> TaskPointer<ID> for Pin<KBox<T>> {
    type Item = T;

    // Tested by: kunit a_refused_item_is_handed_back, compile-fail item_with_other_pointer.
    fn into_raw(self) -> *const T {
        // SAFETY: The item is not moved.
        KBox::into_raw(unsafe { Pin::into_inner_unchecked(self) })
    }

    // Tested by: kunit a_refused_item_is_handed_back, compile-fail item_with_other_pointer.
    unsafe fn from_raw(ptr: *const T) -> Self {
        // SAFETY: By the caller's promise. The item was pinned before.
        unsafe { Pin::new_unchecked(KBox::from_raw(ptr.cast_mut())) }
    }
}

/// The code for items of type `T`.
struct Item<T, const ID: u64>(PhantomData<T>);

impl<T: TaskItem<ID>, const ID: u64> Item<T, ID> {
    const OPS: Ops = Ops {
        run: Self::run,
        retire: None,
        discard: Self::discard,
        settle: None,
        callers_memory: true,
        module: ffi::this_module(),
    };

    /// # Safety
    ///
    /// `task` must be in an item that was submitted; its pointer is taken back.
    // Tested by: mutant node-left-in-item, model domain-item.
    unsafe fn run(task: NonNull<Task>, context: &TaskContext<'_>) {
        // SAFETY: The item's pointer was given up when it was submitted.
        let item = unsafe { T::Pointer::from_raw(item_of::<T, ID>(task)) };
        T::run(item, context)
    }

    /// # Safety
    ///
    /// As above.
    // Tested by: mutant node-left-in-item, model domain-item.
    unsafe fn discard(task: NonNull<Task>) {
        // SAFETY: The item's pointer was given up when it was submitted, or begun.
        drop(unsafe { T::Pointer::from_raw(item_of::<T, ID>(task)) })
    }
}

/// Returns the header of an item.
///
/// # Safety
///
/// `item` must be valid.
#[inline]
// Tested by: kunit an_item_has_several_headers_and_never_allocates, compile-fail item_header_by_hand.
pub(crate) unsafe fn header<T: HasTask<T, ID>, const ID: u64>(item: *const T) -> NonNull<Task> {
    // SAFETY: The header is at this offset of the item, by the contract of `HasTask`.
    unsafe { NonNull::new_unchecked(item.byte_add(T::OFFSET).cast::<Task>().cast_mut()) }
}

/// Returns the item of a header.
///
/// # Safety
///
/// `task` must come from [`header`], with the same `T`.
#[inline]
// Tested by: kunit an_item_has_several_headers_and_never_allocates, compile-fail item_header_by_hand.
pub(crate) unsafe fn item_of<T: HasTask<T, ID>, const ID: u64>(task: NonNull<Task>) -> *const T {
    // SAFETY: The task is the header at this offset of an item, by the contract of `HasTask`.
    unsafe { task.as_ptr().byte_sub(T::OFFSET).cast::<T>() }
}

/// Submits an item; see [`Submit::submit`](crate::Submit::submit).
#[inline]
// Tested by: mutant item-claimed-twice, model domain-item-again.
pub(crate) fn submit<P, const ID: u64>(
    to: Destination<'_>,
    item: P,
) -> Result<Cookie, SubmitError<P>>
where
    P: TaskPointer<ID>,
    P::Item: TaskItem<ID, Pointer = P>,
{
    let item = item.into_raw();

    // SAFETY: The item is valid: we hold the pointer.
    let task = unsafe { header::<P::Item, ID>(item) };
    // SAFETY: The task was initialised with the item. Whoever claims it may submit it, with the
    // pointer, which keeps the item valid until the task is run or discarded. Items are
    // `'static`. What was not submitted is given back.
    let ret = unsafe {
        if Task::claim(task) {
            to.domain
                .submit_task(task, to.nid, to.scope)
                .inspect_err(|_| Task::unclaim(task))
        } else {
            Err(EBUSY)
        }
    };
    ret.map_err(|error| SubmitError {
        error,
        // SAFETY: The pointer was given up above, and not used.
        task: unsafe { P::from_raw(item) },
    })
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_item)]
mod tests {
    use super::*;
    use crate::errno::ESHUTDOWN;
    use crate::{
        impl_has_task,
        kunit::{
            self,
            domain,
            Gate, //
        },
        OwnedDomain, //
        Submit,
    };
    use kernel::sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    };

    fn counter() -> Result<Arc<Atomic<i32>>> {
        Ok(Arc::new(Atomic::new(0), GFP_KERNEL)?)
    }

    /// An item with two headers.
    #[pin_data]
    struct Twice {
        domain: Arc<OwnedDomain>,
        runs: Atomic<i32>,
        again: Atomic<i32>,
        #[pin]
        first: TaskHeader<Self>,
        gate: Gate,
        #[pin]
        second: TaskHeader<Self, 1>,
    }

    impl_has_task! {
        impl HasTask<Self> for Twice { self.first }
        impl HasTask<Self, 1> for Twice { self.second }
    }

    impl TaskItem for Twice {
        type Pointer = Arc<Self>;

        fn run(this: Arc<Self>, _context: &TaskContext<'_>) {
            this.gate.wait();
            this.runs.add(1, Relaxed);
            if this.again.fetch_add(-1, Relaxed) > 0 {
                let domain = this.domain.clone();
                let _ = domain.submit::<_, 0>(this);
            }
        }
    }

    impl TaskItem<1> for Twice {
        type Pointer = Arc<Self>;

        fn run(this: Arc<Self>, _context: &TaskContext<'_>) {
            this.runs.add(100, Relaxed);
        }
    }

    fn twice(domain: &Arc<OwnedDomain>, gate: &Gate, again: i32) -> Result<Arc<Twice>> {
        Arc::pin_init(
            pin_init!(Twice {
                domain: domain.clone(),
                runs: Atomic::new(0),
                again: Atomic::new(again),
                first <- TaskHeader::new(),
                gate: gate.clone(),
                second <- TaskHeader::new(),
            }),
            GFP_KERNEL,
        )
    }

    #[test]
    fn an_item_has_several_headers_and_never_allocates() -> Result {
        if kunit::lacks_failslab() {
            return Ok(());
        }
        let (domain, gate) = (domain()?, Gate::new()?);
        gate.open();
        let item = twice(&domain, &gate, 0)?;

        kunit::without_memory(|| domain.submit::<_, 0>(item.clone()))?;
        kunit::without_memory(|| domain.submit::<_, 1>(item.clone()))?;
        domain.synchronize(..)?;
        assert_eq!(item.runs.load(Relaxed), 101);
        Ok(())
    }

    #[test]
    fn a_queued_item_is_handed_back() -> Result {
        let (domain, gate) = (domain()?, Gate::new()?);
        let item = twice(&domain, &gate, 0)?;

        kunit::with_full_queue(|| {
            domain.submit::<_, 0>(item.clone())?;
            let ret = domain.submit::<_, 0>(item.clone());
            let Err(SubmitError { error, task }) = ret else {
                return Err(EINVAL);
            };
            assert!(error == EBUSY && Arc::ptr_eq(&task, &item));
            Ok(())
        })?;
        gate.open();
        domain.synchronize(..)?;
        assert_eq!(item.runs.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn an_item_submits_itself_again() -> Result {
        let (domain, gate) = (domain()?, Gate::new()?);
        gate.open();
        let item = twice(&domain, &gate, 99)?;

        domain.submit::<_, 0>(item.clone())?;
        domain.synchronize(..)?;
        assert_eq!(item.runs.load(Relaxed), 100);
        assert_eq!(domain.stats().submitted, 100);
        Ok(())
    }

    #[test]
    fn a_refused_item_is_handed_back() -> Result {
        let (domain, gate) = (domain()?, Gate::new()?);
        gate.open();
        let item = twice(&domain, &gate, 0)?;

        domain.set_limit(0);
        let ret = domain.submit::<_, 0>(item.clone());
        assert!(matches!(&ret, Err(e) if e.error == EAGAIN));
        domain.set_limit(1);
        domain.submit::<_, 0>(item.clone())?;
        domain.synchronize(..)?;
        domain.close();
        let ret = domain.submit::<_, 0>(item.clone());
        assert!(matches!(&ret, Err(e) if e.error == ESHUTDOWN));
        assert_eq!(item.runs.load(Relaxed), 1);
        Ok(())
    }

    /// An item that frees itself.
    #[pin_data]
    struct Once {
        runs: Arc<Atomic<i32>>,
        #[pin]
        task: TaskHeader<Self>,
    }

    impl_has_task! {
        impl HasTask<Self> for Once { self.task }
    }

    impl TaskItem for Once {
        type Pointer = Pin<KBox<Self>>;

        fn run(this: Pin<KBox<Self>>, context: &TaskContext<'_>) {
            let runs = this.runs.clone();
            drop(this);
            // The memory is gone, the place in the order is not.
            if context.synchronize().is_ok() {
                runs.add(1, Relaxed);
            }
        }
    }

    #[test]
    fn an_item_may_free_its_own_memory() -> Result {
        let (domain, runs) = (domain()?, counter()?);

        for _ in 0..100 {
            let counter = runs.clone();
            let item = KBox::pin_init(
                pin_init!(Once {
                    runs: counter,
                    task <- TaskHeader::new(),
                }),
                GFP_KERNEL,
            )?;
            domain.submit(item)?;
        }
        domain.synchronize(..)?;
        assert_eq!(runs.load(Relaxed), 100);
        Ok(())
    }
}
