// SPDX-License-Identifier: GPL-2.0

//! In-flight tokens in memory that the caller brings.

use super::{
    error::SubmitError,
    item::{
        header,
        item_of,
        TaskItem,
        TaskPointer, //
    }, //
};
use crate::domain::core::{
    cookie::Cookie,
    domain::AsyncDomain,
    header::Task,
    pending::Node, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// Something that is in flight, such as a command to hardware, with the item that stands for it.
///
/// Like a [`Token`](crate::Token), but the place in the domain's order is the
/// [`TaskHeader`](crate::TaskHeader) of the item: nothing is allocated. The token owns the item, or a
/// share in it, and dereferences to it.
///
/// It may be finished in any context in which the item can be dropped. One that is leaked keeps its item,
/// and its domain undrained.
///
/// # Examples
///
/// ```
/// use async_domain::{impl_has_task, new_async_domain, TaskContext, TaskHeader, TaskItem};
/// use kernel::sync::Arc;
///
/// #[pin_data]
/// struct Command {
///     tag: u16,
///     #[pin]
///     header: TaskHeader<Self>,
/// }
///
/// impl_has_task! {
///     impl HasTask<Self> for Command { self.header }
/// }
///
/// impl TaskItem for Command {
///     type Pointer = Arc<Self>;
///
///     // For commands that are submitted as tasks, which these are not.
///     fn run(_this: Arc<Self>, _context: &TaskContext<'_>) {}
/// }
///
/// let command = Arc::pin_init(
///     pin_init!(Command { tag: 17, header <- TaskHeader::new() }),
///     GFP_KERNEL,
/// )?;
/// let domain = new_async_domain!("commands", GFP_KERNEL)?;
///
/// let token = domain.begin_item(command)?;
/// pr_info!("command {} is task {}\n", token.tag, token.cookie());
/// // ... the interrupt handler does this:
/// token.finish();
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `task` is the header of an item whose pointer was given up for this token. Its node is in the order of
/// its domain, and has `flag::TOKEN` set.
#[must_use = "dropping a token finishes it"]
pub struct ItemToken<P: TaskPointer<ID>, const ID: u64 = 0>
where
    P::Item: TaskItem<ID, Pointer = P>,
{
    task: NonNull<Task>,
    _item: PhantomData<P>,
}

// SAFETY: What the token owns may be sent, since `P` may; everything that it does is done under the lock of
// its domain, or is the kernel's.
// Tested by: compile-fail item_not_sync.
unsafe impl<P: TaskPointer<ID>, const ID: u64> Send for ItemToken<P, ID> where
    P::Item: TaskItem<ID, Pointer = P>
{
}
// SAFETY: A shared reference gives the cookie, which does not change, and a reference to the item, which
// is `Sync`, as all of them are.
// Tested by: compile-fail item_not_sync.
unsafe impl<P: TaskPointer<ID>, const ID: u64> Sync for ItemToken<P, ID> where
    P::Item: TaskItem<ID, Pointer = P>
{
}

impl AsyncDomain {
    /// Takes a cookie for an item that is in flight. Like [`Self::begin`], but never allocates.
    ///
    /// # Errors
    ///
    /// Gives the item back with
    ///
    /// - `EBUSY`: it is in flight, or queued as a task, already.
    /// - `EAGAIN`: the domain has as many unfinished tasks as it may have.
    /// - `ESHUTDOWN`: the domain is closed, or the module that made the item is being unloaded.
    ///
    /// # Context
    ///
    /// Any.
    #[inline]
    // Tested by: mutant item-token-claimed-twice, kunit an_item_is_in_flight_once_at_a_time.
    pub fn begin_item<P, const ID: u64>(&self, item: P) -> Result<ItemToken<P, ID>, SubmitError<P>>
    where
        P: TaskPointer<ID>,
        P::Item: TaskItem<ID, Pointer = P>,
    {
        let item = item.into_raw();
        // SAFETY: The item is valid: we hold its pointer.
        let task = unsafe { header::<P::Item, ID>(item) };

        // SAFETY: The task was initialised with the item, which the pointer keeps valid until the token
        // gives it back. What is not in flight is given back here.
        match unsafe { Task::begin(task, self) } {
            // INVARIANT: It has just been linked.
            Ok(()) => Ok(ItemToken {
                task,
                _item: PhantomData,
            }),
            Err(error) => Err(SubmitError {
                error,
                // SAFETY: The pointer was given up above, and not used.
                task: unsafe { P::from_raw(item) },
            }),
        }
    }
}

impl<P: TaskPointer<ID>, const ID: u64> ItemToken<P, ID>
where
    P::Item: TaskItem<ID, Pointer = P>,
{
    /// The cookie of what is in flight.
    // Tested by: kunit an_item_is_in_flight_once_at_a_time.
    pub fn cookie(&self) -> Cookie {
        // SAFETY: By the type invariant; the cookie does not change while the node is linked.
        unsafe { Node::cookie_of(&raw const (*self.task.as_ptr()).node) }
    }

    /// Drops the item, or the token's share in it, and counts as finished then. Dropping the token does the same.
    ///
    /// A thread that has waited for the cookie can begin or submit a shared item at once, and finds its other
    /// references only. The destructor of an item that is not shared runs inside the task: a wait for its own cookie
    /// fails there with `EDEADLK`.
    ///
    /// Takes the domain's lock once; twice to drop the item, which [`Self::into_item`] spares.
    ///
    /// May be called in any context in which the item can be dropped, hard interrupts included. With
    /// `PREEMPT_RT`, in a context in which locks cannot sleep, a worker does it, soon.
    ///
    /// The module of the item is held until the token has finished, and not while this returns: as with any interrupt
    /// handler, a module must stop its callers of this before it goes. To drain the domain is not enough.
    #[inline]
    pub fn finish(self) {
        drop(self)
    }

    /// Counts as finished from now on; gives the item back. With `PREEMPT_RT`, the lock of the domain
    /// sleeps, and this must not be called where that is not allowed.
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::{ItemToken, TaskItem};
    /// use kernel::sync::Arc;
    ///
    /// // Done; and the memory is free for the next command.
    /// fn answered<T: TaskItem<Pointer = Arc<T>>>(token: ItemToken<Arc<T>>) -> Arc<T> {
    ///     token.into_item()
    /// }
    /// ```
    #[inline]
    // Tested by: mutant item-token-not-unclaimed, kunit the_item_is_dropped_once_or_given_back.
    pub fn into_item(self) -> P {
        let this = ManuallyDrop::new(self);

        // SAFETY: The token is not used any more. The caller's module is running, and need not be held
        // on the token's behalf. The pointer was given up for the token.
        unsafe {
            Task::finish_token(this.task, None);
            P::from_raw(item_of::<P::Item, ID>(this.task))
        }
    }
}

impl<P: TaskPointer<ID>, const ID: u64> Deref for ItemToken<P, ID>
where
    P::Item: TaskItem<ID, Pointer = P>,
{
    type Target = P::Item;

    #[inline]
    // Tested by: kunit an_item_is_in_flight_once_at_a_time.
    fn deref(&self) -> &P::Item {
        // SAFETY: By the type invariant: the pointer keeps the item valid.
        unsafe { &*item_of::<P::Item, ID>(self.task) }
    }
}

impl<P: TaskPointer<ID>, const ID: u64> Drop for ItemToken<P, ID>
where
    P::Item: TaskItem<ID, Pointer = P>,
{
    #[inline]
    // Tested by: mutant item-token-not-unclaimed, kunit the_item_is_dropped_once_or_given_back.
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the task is that of a token, which is being dropped. The pointer of its item was
        // given up for it.
        unsafe {
            Task::finish_token(
                self.task,
                Some(|task| P::put_shared(item_of::<P::Item, ID>(task))),
            );
        }
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_item_token)]
mod tests {
    use super::*;
    use crate::{
        domain::submit::item::TaskHeader,
        errno::{
            EDEADLK,
            ESHUTDOWN, //
        },
        impl_has_task,
        kunit::{
            self,
            domain, //
        },
        Cancelled,
        OwnedDomain, //
        Submit,
        TaskContext,
    };
    use kernel::sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    };

    #[pin_data(PinnedDrop)]
    struct Command {
        runs: Arc<Atomic<i32>>,
        stopped: Atomic<bool>,
        drops: Arc<Atomic<i32>>,
        #[pin]
        header: TaskHeader<Self>,
    }

    impl_has_task! {
        impl HasTask<Self> for Command { self.header }
    }

    impl TaskItem for Command {
        type Pointer = Arc<Self>;

        fn run(this: Arc<Self>, context: &TaskContext<'_>) {
            this.runs.add(1, Relaxed);
            this.stopped.store(context.should_stop(), Relaxed);
        }
    }

    #[pinned_drop]
    impl PinnedDrop for Command {
        fn drop(self: Pin<&mut Self>) {
            self.drops.add(1, Relaxed);
        }
    }

    fn command() -> Result<Arc<Command>> {
        let runs = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let drops = Arc::new(Atomic::new(0), GFP_KERNEL)?;

        Arc::pin_init(
            pin_init!(Command {
                runs,
                stopped: Atomic::new(false),
                drops,
                header <- TaskHeader::new(),
            }),
            GFP_KERNEL,
        )
    }

    #[test]
    fn an_item_is_in_flight_once_at_a_time() -> Result {
        let (domain, command) = (domain()?, command()?);

        for _ in 0..3 {
            let token = domain.begin_item(command.clone())?;
            assert_eq!(domain.lowest_in_progress(), Some(token.cookie()));
            assert_eq!(token.runs.load(Relaxed), 0);
            // It is neither begun again, nor submitted, nor cancelled.
            let again = domain.begin_item(command.clone());
            assert!(matches!(again, Err(SubmitError { error, .. }) if error == EBUSY));
            let task = domain.submit(command.clone());
            assert!(matches!(task, Err(SubmitError { error, .. }) if error == EBUSY));
            assert_eq!(domain.cancel(token.cookie()), Cancelled::AskedToStop);
            assert_eq!(domain.cancel_all(), 0);

            kunit::with_hard_interrupts_off(|| token.finish());
            domain.synchronize(..)?;
        }
        // After that it can be a task.
        domain.submit(command.clone())?;
        domain.synchronize(..)?;
        assert_eq!(command.runs.load(Relaxed), 1);
        // Nobody has cancelled that one.
        assert!(!command.stopped.load(Relaxed));
        Ok(())
    }

    #[test]
    fn an_item_that_was_waited_for_can_be_begun_again() -> Result {
        const N: i32 = 2000;
        let (domain, answers, command) = (domain()?, domain()?, command()?);

        for _ in 0..N {
            let token = domain.begin_item(command.clone())?;
            let cookie = token.cookie();

            answers.schedule(GFP_KERNEL, move |_| token.finish())?;
            domain.synchronize(..=cookie)?;
        }
        answers.synchronize(..)
    }

    /// Is in flight while a worker runs its own work item.
    #[pin_data]
    struct Reused {
        flights: Arc<OwnedDomain>,
        ret: Atomic<i32>,
        #[pin]
        header: TaskHeader<Self>,
    }

    impl_has_task! {
        impl HasTask<Self> for Reused { self.header }
    }

    impl TaskItem for Reused {
        type Pointer = Arc<Self>;

        fn run(this: Arc<Self>, _context: &TaskContext<'_>) {
            let done = this.flights.begin_item(this.clone()).map(|token| {
                let cookie = token.cookie();
                kunit::with_hard_interrupts_off(|| token.finish());
                this.flights.synchronize(..=cookie)
            });
            this.ret.store(matches!(done, Ok(Ok(()))).into(), Relaxed);
        }
    }

    #[test]
    fn the_item_of_a_running_task_is_finished_elsewhere() -> Result {
        let domain = domain()?;
        let item = Arc::pin_init(
            pin_init!(Reused {
                flights: self::domain()?,
                ret: Atomic::new(0),
                header <- TaskHeader::new(),
            }? Error),
            GFP_KERNEL,
        )?;

        // On a node it is queued by its own work item.
        domain.on_node(0)?.submit(item.clone())?;
        domain.synchronize(..)?;
        assert_eq!(item.ret.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn the_item_is_dropped_once_or_given_back() -> Result {
        let (domain, command) = (domain()?, command()?);
        let drops = command.drops.clone();

        let token = domain.begin_item(command)?;
        let command = token.into_item();
        domain.synchronize(..)?;
        assert_eq!(drops.load(Relaxed), 0);

        domain.set_limit(0);
        let refused = domain.begin_item(command);
        assert!(matches!(&refused, Err(SubmitError { error, .. }) if *error == EAGAIN));
        let command = refused.err().ok_or(EINVAL)?.task;
        domain.set_limit(1);

        let token = domain.begin_item(command)?;
        assert_eq!(drops.load(Relaxed), 0);
        drop(token);
        assert_eq!(drops.load(Relaxed), 1);

        domain.close();
        let refused = domain.begin_item(self::command()?);
        assert!(matches!(refused, Err(SubmitError { error, .. }) if error == ESHUTDOWN));
        domain.synchronize(..)
    }

    /// Notes in its destructor whether its domain has tasks in progress, and whether it can wait for them.
    #[pin_data(PinnedDrop)]
    struct Observer {
        domain: Arc<OwnedDomain>,
        in_progress: Arc<Atomic<bool>>,
        waited: Arc<Atomic<i32>>,
        #[pin]
        header: TaskHeader<Self>,
    }

    impl_has_task! {
        impl HasTask<Self> for Observer { self.header }
    }

    impl TaskItem for Observer {
        type Pointer = Arc<Self>;

        fn run(_this: Arc<Self>, _context: &TaskContext<'_>) {}
    }

    #[pinned_drop]
    impl PinnedDrop for Observer {
        fn drop(self: Pin<&mut Self>) {
            let in_progress = self.domain.lowest_in_progress().is_some();
            let waited = self.domain.synchronize(..);

            self.in_progress.store(in_progress, Relaxed);
            let errno = waited.map_or_else(|e| e.to_errno(), |()| 0);
            self.waited.store(errno, Relaxed);
        }
    }

    #[test]
    fn a_token_drops_its_item_before_it_is_done() -> Result {
        for shared in [false, true] {
            let domain = domain()?;
            let in_progress = Arc::new(Atomic::new(false), GFP_KERNEL)?;
            let waited = Arc::new(Atomic::new(0), GFP_KERNEL)?;
            let (d, p, w) = (domain.clone(), in_progress.clone(), waited.clone());
            let item = Arc::pin_init(
                pin_init!(Observer {
                    domain: d,
                    in_progress: p,
                    waited: w,
                    header <- TaskHeader::new(),
                }),
                GFP_KERNEL,
            )?;
            let other = shared.then(|| item.clone());

            domain.begin_item(item)?.finish();
            assert_eq!(domain.lowest_in_progress(), None);
            assert_eq!(domain.stats().finished, 1);
            assert_eq!(in_progress.load(Relaxed), !shared);
            let errno = if shared { 0 } else { EDEADLK.to_errno() };
            assert_eq!(waited.load(Relaxed), errno);
            // The token has put its reference.
            if let Some(other) = other {
                assert!(Arc::into_unique_or_drop(other).is_some());
            }
        }
        Ok(())
    }

    #[test]
    fn a_waiter_finds_no_reference_of_a_token() -> Result {
        const N: i32 = 2000;
        let (domain, answers) = (domain()?, domain()?);
        let mut command = command()?;

        for _ in 0..N {
            let token = domain.begin_item(command.clone())?;
            let cookie = token.cookie();

            answers.schedule(GFP_KERNEL, move |_| token.finish())?;
            domain.synchronize(..=cookie)?;
            let unique = Arc::into_unique_or_drop(command).ok_or(EBUSY)?;
            command = Arc::from(unique);
        }
        answers.synchronize(..)
    }

    #[test]
    fn finishing_lets_ordered_tasks_retire() -> Result {
        let (domain, command) = (domain()?, command()?);
        let retired = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;
        let token = domain.begin_item(command)?;
        let r = retired.clone();

        domain.schedule_ordered(GFP_KERNEL, |_| (), move |(), _| r.store(1, Relaxed))?;
        kunit::settle();
        assert_eq!(retired.load(Relaxed), 0);
        token.finish();
        domain.synchronize(..)?;
        assert_eq!(retired.load(Relaxed), 1);
        Ok(())
    }
}
