// SPDX-License-Identifier: GPL-2.0

//! The order of a domain's tasks: entering it, leaving it, and who retires next.
//!
//! # Done
//!
//! A task, a future or a token is *done* when anybody can know that it is: by its cookie, its value, its item, its
//! scope, or a module that can be unloaded. Whatever its form, these are the steps, in this order:
//!
//! 1. Its code has returned, what it owned has been dropped, and its error was reported. Nothing of the module
//!    that submitted it runs from here on, but for what stores its value in step 3. (A token gives its share in
//!    the item up under the lock, just before step 2, or gives it to the caller that finishes it.)
//! 2. Its node is taken out of the order.
//! 3. It is *settled*: the claim of an item is given back, a value is there for its handle, and the references on
//!    modules are put. The node is not touched any more.
//! 4. Those who wait for what lies below the frontier are woken.
//! 5. What nobody can see but its scope: the memory is freed, and the scope told.
//!
//! Steps 2 to 4 are one hold of the domain's lock. A claim that came back before step 2 would let the node be
//! linked twice, unless its place has moved to a stack node. A thread that was woken does not take the lock, so that
//! step 3 comes before step 4. All others who look at the order take it, and thus find nothing of a task of which they
//! know, by step 3, that it is done.
//!
//! When the references on modules are put, the domain may be in memory of the module that has gone but for this. That
//! memory stays until the lock is free: who frees it has drained the domain, or takes it out of the registry, under
//! its lock (see [`OwnerGone`](crate::OwnerGone)).

use super::{
    cookie::{
        AllBelow,
        Cookie, //
    },
    domain::{
        AsyncDomain,
        State, //
    },
    header::{
        task_of,
        Owned,
        TaskRef,
        ToRetire,
        ToRun, //
    },
    pending::{
        flag,
        Node,
        NodeRef, //
    },
    queue::Server,
    trace, //
};
use crate::{
    errno::ESHUTDOWN,
    ffi,
    wait::Locked, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// What a worker has to do next, with a task that belongs to it.
#[must_use]
pub(crate) enum Next {
    /// Retire it: it is first in the order.
    Retire(Owned<ToRetire>),
    /// Run it: it was the first queued one, and has begun.
    Run(Owned<ToRun>),
    Nothing,
}

/// Wakes those who wait for what lies below the frontier. Returns the task at the frontier if it is
/// to be retired.
#[inline(always)]
// Tested by: mutant retiring-not-marked, mutant retired-when-ready.
pub(crate) fn advance(state: &mut Locked<'_, State, AllBelow>) -> Option<Owned<ToRetire>> {
    if state.has_waiters() {
        let mut frontier = state.frontier();
        state.wake(&mut frontier);
    }

    let first = state.pending.first()?;
    if !first.has(flag::READY) || first.has(flag::RETIRING) {
        return None;
    }
    first.set(flag::RETIRING);
    // SAFETY: The task is first, and ready: it has been run, and left to whoever finds it here, which the flag lets
    // nobody do again.
    task_of(first).map(|task| unsafe { Owned::new(task.as_ptr()) })
}

/// Takes a node out of the order of a domain, settles it, and wakes those who waited for it: steps 2 to 4 of
/// those above. Returns the task that is to be retired, as [`advance`] does.
///
/// # Safety
///
/// `node` must be in the order of `domain`, whose lock is held. It may be gone when `settle` returns.
#[inline(always)]
// Tested by: mutant finish-takes-lock-twice, mutant ready-looked-before-set.
pub(crate) unsafe fn unlink(
    state: &mut Locked<'_, State, AllBelow>,
    node: NodeRef<'_>,
    domain: &AsyncDomain,
    settle: impl FnOnce(),
) -> Option<Owned<ToRetire>> {
    // It was counted when it was appended.
    state.unfinished = state.unfinished.wrapping_sub(1);
    let released = state.release(node);
    // SAFETY: The caller promises that the node is in the list; what is finished is not queued.
    let was_first = unsafe { state.pending.remove(node) };
    trace::task_finish(domain, state, node);

    settle();
    if released {
        // SAFETY: The reference was taken by `hold`. Nothing of that module is used any more on behalf of tasks
        // that are finished, and the domain is there while its lock is held.
        unsafe { ffi::module_put(domain.owner()) };
    }
    if was_first {
        advance(state)
    } else {
        None
    }
}

impl AsyncDomain {
    /// Takes a cookie and appends a node to the order; calls `then` with the lock held. Returns the
    /// node's cookie.
    ///
    /// # Errors
    ///
    /// `ESHUTDOWN` if the domain is closed, or its owner cannot be held any more, `EAGAIN` if it has as
    /// many unfinished tasks as it may.
    ///
    /// # Safety
    ///
    /// `node` must be valid, in no list, and stay in place until it has been removed.
    #[inline]
    // Tested by: mutant limit-ignored, mutant frontier-before-unlink.
    pub(crate) unsafe fn link(
        &self,
        node: *mut Node,
        then: impl FnOnce(&mut State),
    ) -> Result<Cookie> {
        self.queue.with(|state| {
            state.admit(1)?;
            // SAFETY: The caller promises that the node is valid and stays.
            let cookie = unsafe {
                let node = NodeRef::new(node);

                if node.has(flag::SHARED) {
                    state.hold(self.owner())?;
                }
                state.append(self, node)
            };
            then(state);
            Ok(cookie)
        })
    }

    /// Like [`Self::link`], for all of `count` nodes or none; `shared` says that there are some with
    /// [`flag::SHARED`]. Returns the first one's cookie.
    ///
    /// # Safety
    ///
    /// As above, for each node that `next` gives.
    // Tested by: mutant limit-ignored, mutant frontier-before-unlink.
    pub(crate) unsafe fn link_all(
        &self,
        count: usize,
        shared: bool,
        mut next: impl FnMut() -> Option<NonNull<Node>>,
        mut then: impl FnMut(&mut State, NonNull<Node>, Cookie),
    ) -> Result<Cookie> {
        self.queue.with(|state| {
            let mut first = None;

            state.admit(count)?;
            if shared {
                state.hold(self.owner())?;
            }
            while let Some(node) = next() {
                // SAFETY: The caller promises that the node is valid and stays.
                let cookie = unsafe { state.append(self, NodeRef::new(node.as_ptr())) };
                then(state, node, cookie);
                first = first.or(Some(cookie));
            }
            first.ok_or(EINVAL)
        })
    }

    /// Like [`Self::link`], for something that is run whether or not the domain has reached its
    /// limit.
    ///
    /// # Safety
    ///
    /// As above.
    // Tested by: mutant limit-ignored, mutant frontier-before-unlink.
    pub(crate) unsafe fn link_unlimited(&self, node: *mut Node) -> Result<Cookie> {
        self.queue.with(|state| {
            if state.closed {
                return Err(ESHUTDOWN);
            }
            // SAFETY: The caller promises that the node is valid and stays.
            Ok(unsafe { state.append(self, NodeRef::new(node)) })
        })
    }

    /// Takes a node out of the order, and wakes those who waited for it. Returns what the caller must do
    /// next: retire a task, or have it retired by a worker, or run one.
    ///
    /// `settle` is called in between, with the lock held: step 3 of [those](self) that make a task done.
    ///
    /// May be called in any context. The domain may be gone when this returns, unless there is something
    /// to do.
    ///
    /// # Safety
    ///
    /// `node` must be in this domain's order. It may be gone when `settle` returns, unless it is that of the `server`. If
    /// there is one, then it must be that of this thread, a worker; its stack node may be `node`, or be in no list.
    #[inline]
    // Tested by: mutant finish-takes-lock-twice, mutant ready-looked-before-set.
    pub(crate) unsafe fn finish(
        &self,
        node: *mut Node,
        server: Option<&Server>,
        settle: impl FnOnce(),
    ) -> Next {
        self.queue.with(|state| {
            // SAFETY: The node is in the order, and in no list any more when the next is taken, for the server of this
            // thread.
            unsafe {
                match unlink(state, NodeRef::new(node), self, settle) {
                    Some(task) => Next::Retire(task),
                    None => state.take_next(server).map_or(Next::Nothing, Next::Run),
                }
            }
        })
    }

    /// The parallel part of a task is done. Returns what the caller must do next: retire the task if it
    /// is first in the order; else it belongs to whoever moves the frontier to it.
    ///
    /// # Safety
    ///
    /// The task must be in this domain's order, and belong to the caller; `server` as above.
    // Tested by: mutant finish-takes-lock-twice, mutant ready-looked-before-set.
    pub(crate) unsafe fn ready(&self, task: TaskRef<'_>, server: Option<&Server>) -> Next {
        let node = task.place();

        self.queue.with(|state| {
            trace::task_ready(self, task);
            if state.pending.first() == Some(node) {
                node.set(flag::READY | flag::RETIRING);
                // SAFETY: It is first, has been run, and belongs to the caller, which gives it up for this.
                return Next::Retire(unsafe { Owned::new(task.as_ptr()) });
            }
            node.set(flag::READY);
            // SAFETY: The server is that of this thread. Its stack node is in no list: what it has served is not in
            // the caller's memory.
            unsafe { state.take_next(server) }.map_or(Next::Nothing, Next::Run)
        })
    }
}

impl State {
    /// Says whether so many tasks may be added.
    #[inline]
    fn admit(&self, count: usize) -> Result {
        if self.closed || count > self.limit.saturating_sub(self.unfinished) {
            return Err(self.refusal());
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn refusal(&self) -> Error {
        if self.closed {
            ESHUTDOWN
        } else {
            EAGAIN
        }
    }

    /// Takes the domain's reference on its owner, unless it has it.
    #[inline]
    // Tested by: mutant domain-holds-no-owner, mutant owner-put-early.
    fn hold(&self, owner: *mut ffi::module) -> Result {
        // SAFETY: The owner is null or valid.
        if self.shared == 0 && !unsafe { ffi::try_module_get(owner) } {
            return Err(ESHUTDOWN);
        }
        Ok(())
    }

    /// Says whether the domain's reference on its owner is to be dropped, or is the caller's, since the
    /// last task leaves that shares it. The node must be about to leave the order.
    #[inline]
    fn release(&mut self, node: NodeRef<'_>) -> bool {
        if !node.has(flag::SHARED) {
            return false;
        }
        self.shared = self.shared.wrapping_sub(1);
        self.shared == 0
    }

    /// Takes the node of a running task out of the order, which is given up. If it shared the domain's
    /// reference on its owner, then it has one of its own from now on.
    ///
    /// # Safety
    ///
    /// `node` must be in the order.
    // Tested by: mutant domain-holds-no-owner, mutant owner-put-early.
    pub(crate) unsafe fn detach(&mut self, node: NodeRef<'_>, owner: *mut ffi::module) {
        if node.has(flag::SHARED) && !self.release(node) {
            // SAFETY: Other tasks share the reference on the module; so this cannot fail.
            unsafe { ffi::try_module_get(owner) };
        }
        // SAFETY: The node is in the order, and what runs is not queued.
        unsafe { self.pending.remove(node) };
        self.unfinished -= 1;
    }

    /// Takes a cookie and appends a node to the domain's order. If it shares the domain's reference on its
    /// owner, then that must be held.
    ///
    /// # Safety
    ///
    /// `node` must be valid, in no list, and stay in place until it has been removed.
    #[inline]
    // Tested by: mutant limit-ignored, mutant frontier-before-unlink.
    pub(crate) unsafe fn append(&mut self, domain: &AsyncDomain, node: NodeRef<'_>) -> Cookie {
        let cookie = Cookie::take();

        // It counts what is in memory, or for centuries: these do not overflow.
        self.unfinished = self.unfinished.wrapping_add(1);
        self.submitted = self.submitted.wrapping_add(1);
        if node.has(flag::SHARED) {
            self.shared = self.shared.wrapping_add(1);
        }
        // SAFETY: The node is in no list, and stays. The cookie was taken under the lock, after all others in the list.
        unsafe { self.pending.push(node, cookie) };
        trace::task_submit(domain, node);
        cookie
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_ordered)]
mod tests {
    use super::*;
    use crate::{
        kunit::{
            self,
            domain,
            eventually,
            Gate, //
        },
        Submit,
        Token, //
    };
    use kernel::sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    };

    fn counter() -> Result<Arc<Atomic<i32>>> {
        Ok(Arc::new(Atomic::new(0), GFP_KERNEL)?)
    }

    /// The address of a variable on the stack of the caller's caller, or so.
    #[inline(never)]
    fn stack_depth() -> usize {
        let marker = 0u8;
        core::ptr::from_ref(core::hint::black_box(&marker)) as usize
    }

    #[test]
    fn thousands_retire_in_order_with_few_workers() -> Result {
        const N: i32 = 4096;
        let domain = domain()?;
        let gate = Gate::new()?;
        let (next, wrong, running, peak) = (counter()?, counter()?, counter()?, counter()?);
        // Deepest and shallowest place on the stack at which a retire part was called, relative to
        // the first one.
        let (base, spread) = (
            Arc::new(Atomic::<usize>::new(0), GFP_KERNEL)?,
            Arc::new(Atomic::<usize>::new(0), GFP_KERNEL)?,
        );

        for i in 0..N {
            let (g, r, p) = (gate.clone(), running.clone(), peak.clone());
            let (n, w, b, s) = (next.clone(), wrong.clone(), base.clone(), spread.clone());

            domain.schedule_ordered(
                GFP_KERNEL,
                move |_| {
                    let now = r.fetch_add(1, Relaxed) + 1;
                    // Rarely wrong, and then too low, since it is not one step.
                    if now > p.load(Relaxed) {
                        p.store(now, Relaxed);
                    }
                    // All others finish before the first one.
                    if i == 0 {
                        g.wait();
                    }
                    r.add(-1, Relaxed);
                    i
                },
                move |i, _| {
                    let depth = stack_depth();
                    if i == 0 {
                        b.store(depth, Relaxed);
                    }
                    let off = b.load(Relaxed).abs_diff(depth);
                    if off > s.load(Relaxed) {
                        s.store(off, Relaxed);
                    }
                    if n.fetch_add(1, Relaxed) != i {
                        w.add(1, Relaxed);
                    }
                },
            )?;
        }
        // They all come to the end of their parallel part, and none retires. A moment later, the last of them
        // are left to who retires the first one.
        assert!(eventually(|| running.load(Relaxed) == 1));
        kunit::settle();
        assert_eq!(next.load(Relaxed), 0);
        gate.open();
        domain.synchronize(..)?;
        assert_eq!(next.load(Relaxed), N);
        assert_eq!(wrong.load(Relaxed), 0);
        // CAST: A small number.
        let cpus = kernel::cpu::nr_cpu_ids() as i32;
        assert!(peak.load(Relaxed) <= cpus + 4);
        // One worker retired them all, one after the other.
        assert!(spread.load(Relaxed) < 1024);
        Ok(())
    }

    #[test]
    fn shuffled_tasks_retire_in_order() -> Result {
        let domain = domain()?;
        let (next, wrong) = (counter()?, counter()?);
        let order = kunit::shuffled(64)?;

        for i in 0..64i32 {
            // CAST: Small numbers.
            let delay = order[i as usize] as i64 / 4;
            let (n, w) = (next.clone(), wrong.clone());

            domain.schedule_ordered(
                GFP_KERNEL,
                move |_| kernel::time::delay::fsleep(kernel::time::Delta::from_millis(delay)),
                move |(), context| {
                    let ret = context.synchronize();
                    if ret.is_err() || n.fetch_add(1, Relaxed) != i {
                        w.add(1, Relaxed);
                    }
                },
            )?;
        }
        domain.synchronize(..)?;
        assert_eq!((next.load(Relaxed), wrong.load(Relaxed)), (64, 0));
        Ok(())
    }

    #[test]
    fn a_task_is_done_when_it_has_retired() -> Result {
        let domain = domain()?;
        let (first, retired) = (domain.begin(GFP_KERNEL)?, counter()?);
        let (worked, r) = (Gate::new()?, retired.clone());
        let w = worked.clone();
        let cookie = domain.schedule_ordered(
            GFP_KERNEL,
            move |_| w.open(),
            move |(), _| {
                kunit::settle();
                r.store(1, Relaxed);
            },
        )?;

        worked.wait();
        kunit::settle();
        assert_eq!(retired.load(Relaxed), 0);
        // A token is finished outside of any worker: one is found to retire the task.
        kunit::with_hard_interrupts_off(|| first.finish());
        domain.synchronize(..=cookie)?;
        assert_eq!(retired.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn mixed_with_tokens_and_plain_tasks() -> Result {
        let domain = domain()?;
        let (next, wrong) = (counter()?, counter()?);
        let mut tokens = KVec::new();

        for i in 0..32i32 {
            let (n, w) = (next.clone(), wrong.clone());
            domain.schedule_ordered(
                GFP_KERNEL,
                |_| (),
                move |(), _| {
                    if n.fetch_add(1, Relaxed) != i {
                        w.add(1, Relaxed);
                    }
                },
            )?;
            domain.schedule(GFP_KERNEL, |_| ())?;
            tokens.push(Some(domain.begin(GFP_KERNEL)?), GFP_KERNEL)?;
        }
        for i in kunit::shuffled(32)? {
            drop::<Option<Token>>(tokens[i].take());
        }
        domain.synchronize(..)?;
        assert_eq!((next.load(Relaxed), wrong.load(Relaxed)), (32, 0));
        Ok(())
    }

    #[test]
    fn either_part_can_drop_the_domain() -> Result {
        for in_work in [true, false] {
            let domain = domain()?;
            let (done, retired) = (Gate::new()?, counter()?);
            let (d, r) = (done.clone(), retired.clone());
            let mut own = Some(domain.clone());
            let mut kept = if in_work { None } else { own.take() };
            let gate = Gate::new()?;
            let g = gate.clone();

            domain.schedule_ordered(
                GFP_KERNEL,
                move |_| {
                    g.wait();
                    drop(own);
                },
                move |(), _| {
                    r.add(1, Relaxed);
                    drop(kept.take());
                    d.open();
                },
            )?;
            let r = retired.clone();
            domain.schedule_ordered(GFP_KERNEL, |_| (), move |(), _| r.add(1, Relaxed))?;
            drop(domain);
            gate.open();
            done.wait();
            assert_eq!(retired.load(Relaxed), 2);
        }
        Ok(())
    }
}
