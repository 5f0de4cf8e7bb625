// SPDX-License-Identifier: GPL-2.0

//! Where tasks are submitted to.

use crate::{
    domain::core::{
        domain::AsyncDomain,
        scope_data::ScopeData, //
    },
    ffi, //
};
use core::ptr;
use kernel::{
    device::Device,
    prelude::*, //
};

/// The domain that a task goes to, the node that it is to run on, and the scope that it belongs to.
#[derive(Clone, Copy)]
pub struct Destination<'a> {
    pub(crate) domain: &'a AsyncDomain,
    /// A valid node, or [`ffi::NUMA_NO_NODE`].
    pub(crate) nid: c_int,
    /// Null if it belongs to none.
    pub(crate) scope: *const ScopeData,
}

/// What has a destination. Only this crate has targets: what users see of it is [`Submit`](crate::Submit).
pub trait Target {
    /// Where tasks go.
    fn destination(&self) -> Destination<'_>;
}

/// A target for tasks that may borrow for `'a`.
///
/// # Safety
///
/// What borrows for `'a` must be usable until a task that goes to the destination is finished.
pub unsafe trait Accepts<'a>: Target {}

// SAFETY: What is `'static` can be used at any time.
// Tested by: compile-fail closure_borrows_frame.
unsafe impl Accepts<'static> for AsyncDomain {}

impl Target for AsyncDomain {
    #[inline]
    fn destination(&self) -> Destination<'_> {
        Destination {
            domain: self,
            nid: ffi::NUMA_NO_NODE,
            scope: ptr::null(),
        }
    }
}

/// A target whose tasks are to run on a NUMA node; see [`Submit::on_node`](crate::Submit::on_node).
///
/// The node is honoured as far as possible: if it has no CPU that is online, its tasks run anywhere
/// (see `queue_work_node()`).
///
/// # Examples
///
/// ```
/// use async_domain::{domain::OnNode, new_async_domain, AsyncDomain, Submit, TaskContext, TaskItem};
/// use kernel::{device::Device, sync::Arc};
///
/// fn start<T>(domain: &AsyncDomain, device: &Device, item: Arc<T>) -> Result
/// where
///     T: TaskItem<Pointer = Arc<T>>,
/// {
///     domain.near(device).submit(item)?;
///     Ok(())
/// }
///
/// let domain = new_async_domain!("placed", GFP_KERNEL)?;
/// let node: OnNode<'_, AsyncDomain> = domain.on_node(0)?;
///
/// node.schedule(GFP_KERNEL, |_| pr_info!("a task\n"))?;
/// node.schedule_ordered(GFP_KERNEL, |_| 17, |n, _| pr_info!("{n}, in order\n"))?;
/// node.schedule_batch(GFP_KERNEL, KVec::from_elem(|_: &TaskContext<'_>| (), 4, GFP_KERNEL)?)?;
/// node.spawn(GFP_KERNEL, async { pr_info!("a future\n") })?;
/// assert_eq!(node.schedule_with_handle(GFP_KERNEL, |_| 17)?.join(), Ok(17));
/// # Ok::<(), Error>(())
/// ```
pub struct OnNode<'t, T: ?Sized> {
    target: &'t T,
    nid: c_int,
}

impl<'t, T: ?Sized> OnNode<'t, T> {
    /// `None` if there cannot be such a node.
    pub(crate) fn new(target: &'t T, nid: i32) -> Option<Self> {
        // CAST: A small number.
        (0..ffi::MAX_NUMNODES as i32)
            .contains(&nid)
            .then_some(Self { target, nid })
    }

    // Tested by: mutant placement-ignored, kunit tasks_run_where_they_were_asked_to.
    pub(crate) fn near(target: &'t T, device: &Device) -> Self {
        Self {
            target,
            nid: node_of(device),
        }
    }
}

/// The node of a device, or [`ffi::NUMA_NO_NODE`].
// Tested by: mutant placement-ignored, kunit tasks_run_where_they_were_asked_to.
fn node_of(device: &Device) -> c_int {
    // SAFETY: The device is valid. `Device` is a transparent wrapper.
    unsafe { ffi::dev_to_node(ptr::from_ref(device).cast_mut().cast()) }
}

// SAFETY: Its tasks belong to what those of the other target do.
// Tested by: compile-fail closure_borrows_frame.
unsafe impl<'a, T: Accepts<'a> + ?Sized> Accepts<'a> for OnNode<'_, T> {}

impl<T: Target + ?Sized> Target for OnNode<'_, T> {
    #[inline]
    fn destination(&self) -> Destination<'_> {
        Destination {
            nid: self.nid,
            ..self.target.destination()
        }
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_placed)]
mod tests {
    use super::*;
    use crate::kunit::{
        self,
        domain,
        Gate, //
    };
    use crate::Submit;

    /// Whether three of four out of `n` tasks run on their nodes, of which `count` gives the number.
    ///
    /// The workqueue wakes a worker there, but the scheduler may move it, and does on a busy machine: so several rounds
    /// are allowed. If the node did not matter, then one half of them would be there, and never so many.
    fn mostly(n: i32, mut count: impl FnMut() -> Result<i32>) -> Result<bool> {
        for _ in 0..20 {
            let there = count()?;

            pr_info!("{there} of {n} tasks ran on their node\n");
            if there >= n / 4 * 3 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[test]
    fn tasks_run_where_they_were_asked_to() -> Result {
        if kunit::lacks_second_node() {
            return Ok(());
        }
        let (domain, nodes) = (domain()?, kunit::nodes());

        assert!(mostly(100, || {
            let mut there = 0;
            for i in 0..100 {
                let node = i % nodes;
                let ran_on = domain
                    .on_node(node)?
                    .schedule_with_handle(GFP_KERNEL, |_| ffi::numa_node_id())?;
                there += i32::from(ran_on.join()? == node);
            }
            Ok(there)
        })?);
        Ok(())
    }

    #[test]
    fn tasks_of_one_queue_run_on_their_nodes() -> Result {
        if kunit::lacks_second_node() {
            return Ok(());
        }
        let (domain, nodes) = (domain()?, kunit::nodes());

        assert!(mostly(200, || {
            let (gate, mut handles) = (Gate::new()?, KVec::new());
            let g = gate.clone();

            // In pairs, so that a worker could take a task of the other node, and may take one of its own.
            domain.schedule(GFP_KERNEL, move |_| g.wait())?;
            for i in 0..200 {
                let node = i / 2 % nodes;
                let handle = domain
                    .on_node(node)?
                    .schedule_with_handle(GFP_KERNEL, move |_| ffi::numa_node_id() == node)?;
                handles.push(handle, GFP_KERNEL)?;
            }
            gate.open();
            let mut there = 0;
            for handle in handles {
                there += i32::from(handle.join()?);
            }
            Ok(there)
        })?);
        Ok(())
    }

    #[test]
    fn a_node_that_cannot_be_is_refused() -> Result {
        let domain = domain()?;

        assert!(matches!(domain.on_node(-1), Err(e) if e == EINVAL));
        assert!(matches!(domain.on_node(i32::MAX), Err(e) if e == EINVAL));
        // One that could be, but is not there (if the kernel can have more than one).
        let ran = domain
            // CAST: A small number.
            .on_node(ffi::MAX_NUMNODES as i32 - 1)?
            .schedule_with_handle(GFP_KERNEL, |_| true)?;
        assert_eq!(ran.join(), Ok(true));
        Ok(())
    }
}
