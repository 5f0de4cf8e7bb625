// SPDX-License-Identifier: GPL-2.0

//! Submitting many tasks at once.

use super::{
    closure::{
        self,
        Closure, //
    },
    error::SubmitError,
    outcome::Outcome,
    target::Destination, //
};
use crate::domain::core::{
    context::TaskContext,
    cookie::Cookie,
    header::Task,
    pending::{
        flag,
        Chain, //
    }, //
};
use core::ops::Range;
use kernel::{
    alloc::Flags,
    prelude::*, //
};

/// Submits all closures, or none; see [`Submit::schedule_batch`](crate::Submit::schedule_batch).
///
/// # Safety
///
/// What the closures borrow must be usable until a task that goes there is finished.
#[inline]
// Tested by: mutant batch-in-part, kunit all_are_given_back_or_none.
pub(crate) unsafe fn submit<F, O>(
    to: Destination<'_>,
    flags: Flags,
    funcs: KVec<F>,
) -> Result<Range<Cookie>, SubmitError<KVec<F>>>
where
    F: FnOnce(&TaskContext<'_>) -> O + Send,
    O: Outcome,
{
    let mut tasks = match alloc_all::<Closure<F, O>>(funcs.len(), flags) {
        Ok(tasks) => tasks,
        Err(error) => return Err(SubmitError { error, task: funcs }),
    };

    // From here on, the closures are in the tasks, and the vector is but their empty buffer.
    let (buffer, len, capacity) = funcs.into_raw_parts();
    for (i, task) in tasks.iter().enumerate() {
        // SAFETY: Each closure is read once; there are as many tasks, which have no body yet.
        unsafe { closure::put(task.cast(), Closure::new(buffer.add(i).read())) };
    }

    // SAFETY: The tasks are ours, were made for such closures, which the caller
    // answers for, and have not been submitted.
    let ret = unsafe { submit_chain(to, &mut tasks) };

    let len = if ret.is_ok() { 0 } else { len };
    for (i, task) in core::iter::from_fn(|| tasks.pop()).enumerate() {
        // SAFETY: What is left in the chain was not queued. Each closure goes back to where it
        // came from.
        unsafe {
            let body: Closure<F, O> = closure::take_back(task.cast());
            buffer.add(i).write(body.into_inner());
        }
    }
    // SAFETY: The buffer is that of the vector, and has as many closures in it.
    let funcs = unsafe { KVec::from_raw_parts(buffer, len, capacity) };

    ret.map_err(|error| SubmitError { error, task: funcs })
}

/// Submits all tasks of a chain, or none; those that were submitted leave the chain.
///
/// # Safety
///
/// As [`AsyncDomain::submit_task`], for each task.
// Tested by: kunit all_are_given_back_or_none, torture batch.
unsafe fn submit_chain(to: Destination<'_>, tasks: &mut Chain) -> Result<Range<Cookie>> {
    let Destination { domain, nid, scope } = to;
    let count = tasks.len();

    let mut shared = false;
    for (i, task) in tasks.iter().enumerate() {
        // SAFETY: By the caller's promise.
        unsafe {
            if let Err(e) = Task::prepare(task.cast(), domain, scope) {
                for task in tasks.iter().take(i) {
                    Task::unprepare(task.cast());
                }
                return Err(e);
            }
            shared |= (*task.as_ptr()).has(flag::SHARED);
        }
    }

    let mut last = None;
    // SAFETY: The nodes are valid and stay where they are until they are finished. Each is taken
    // out of the chain before it is linked, and queued with the lock held, in cookie order.
    let ret = unsafe {
        domain.link_all(
            count,
            shared,
            || tasks.pop(),
            |state, node, cookie| {
                state.enqueue(domain, node.cast(), nid);
                last = Some(cookie);
            },
        )
    };

    match ret {
        Ok(first) => Ok(first..last.unwrap_or(first).next()),
        Err(e) => {
            for task in tasks.iter() {
                // SAFETY: It was prepared above, and not queued.
                unsafe { Task::unprepare(task.cast()) };
            }
            Err(e)
        }
    }
}

/// Allocates tasks for so many bodies, or none.
#[inline]
// Tested by: mutant batch-in-part, kunit all_are_given_back_or_none.
fn alloc_all<B: closure::Body>(count: usize, flags: Flags) -> Result<Chain> {
    let mut tasks = Chain::new();

    if count == 0 {
        return Err(EINVAL);
    }
    for _ in 0..count {
        match closure::alloc_uninit::<B>(flags) {
            // SAFETY: The task has just been made, and is in no list.
            Ok(task) => unsafe { tasks.push(task.as_ptr().cast()) },
            Err(e) => {
                while let Some(task) = tasks.pop() {
                    // SAFETY: The task was made above, and has no body.
                    unsafe { closure::free(task.cast()) };
                }
                return Err(e);
            }
        }
    }
    Ok(tasks)
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_batch)]
mod tests {
    use super::*;
    use crate::kunit::{
        self,
        domain, //
    };
    use crate::Submit;
    use kernel::sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    };

    fn funcs(
        order: &Arc<Atomic<i32>>,
        count: i32,
    ) -> Result<KVec<impl FnOnce(&TaskContext<'_>) + Send + 'static>> {
        let mut funcs = KVec::new();
        for i in 0..count {
            let o = order.clone();
            funcs.push(
                move |context: &TaskContext<'_>| {
                    if context.synchronize().is_ok() && o.load(Relaxed) == i {
                        o.store(i + 1, Relaxed);
                    }
                },
                GFP_KERNEL,
            )?;
        }
        Ok(funcs)
    }

    #[test]
    fn all_are_run_in_the_order_of_the_vector() -> Result {
        let (domain, order) = (domain()?, Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?);

        let cookies = domain.schedule_batch(GFP_KERNEL, funcs(&order, 100)?)?;
        domain.synchronize(..cookies.end)?;
        assert_eq!(order.load(Relaxed), 100);
        assert!(cookies.start < cookies.end);
        assert_eq!(domain.lowest_in_progress(), None);
        Ok(())
    }

    #[test]
    fn all_are_given_back_or_none() -> Result {
        if kunit::lacks_failslab() {
            return Ok(());
        }
        let (domain, order) = (domain()?, Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?);

        // Past the limit.
        domain.set_limit(99);
        let ret = domain.schedule_batch(GFP_KERNEL, funcs(&order, 100)?);
        let Err(SubmitError { error, task: funcs }) = ret else {
            return Err(EINVAL);
        };
        assert_eq!((error, funcs.len()), (EAGAIN, 100));
        assert_eq!(domain.stats().submitted, 0);

        // Out of memory.
        let ret = kunit::without_memory(|| domain.schedule_batch(GFP_NOWAIT, funcs));
        let Err(SubmitError { error, task: funcs }) = ret else {
            return Err(EINVAL);
        };
        assert_eq!((error, funcs.len()), (ENOMEM, 100));

        // They are as good as new, and in their order.
        domain.set_limit(100);
        domain.schedule_batch(GFP_KERNEL, funcs)?;
        domain.synchronize(..)?;
        assert_eq!(order.load(Relaxed), 100);
        Ok(())
    }

    #[test]
    fn an_empty_batch_is_an_error() -> Result {
        let (domain, order) = (domain()?, Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?);

        let ret = domain.schedule_batch(GFP_KERNEL, funcs(&order, 0)?);
        assert!(matches!(ret, Err(e) if e.error == EINVAL));
        Ok(())
    }
}
