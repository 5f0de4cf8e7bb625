// SPDX-License-Identifier: GPL-2.0

//! Where tasks run.

use crate::{
    domain::core::domain::AsyncDomain,
    ffi, //
};
use kernel::{
    device::Device,
    prelude::*, //
};

/// A domain, and the NUMA node on which tasks that are submitted through it are to run.
///
/// The node is honoured as far as possible: if it has no CPU that is online, its tasks run anywhere
/// (see `queue_work_node()`).
///
/// # Examples
///
/// ```
/// use async_domain::{domain::Placed, new_async_domain, AsyncDomain, TaskContext, TaskItem};
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
/// let node: Placed<'_> = domain.on_node(0)?;
///
/// node.schedule(|_| pr_info!("a task\n"), GFP_KERNEL)?;
/// node.schedule_ordered(|_| 17, |n, _| pr_info!("{n}, in order\n"), GFP_KERNEL)?;
/// node.schedule_fallible(|_| Ok(()), GFP_KERNEL)?;
/// node.schedule_batch(KVec::from_elem(|_: &TaskContext<'_>| (), 4, GFP_KERNEL)?, GFP_KERNEL)?;
/// node.spawn(async { pr_info!("a future\n") }, GFP_KERNEL)?;
/// assert_eq!(node.schedule_with_handle(|_| 17, GFP_KERNEL)?.join(), Ok(17));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    pub(crate) domain: &'a AsyncDomain,
    /// A valid node, or [`ffi::NUMA_NO_NODE`].
    pub(crate) node: c_int,
}

impl AsyncDomain {
    /// Tasks that are submitted through this run on a NUMA node (C's
    /// `async_schedule_node_domain()`).
    ///
    /// # Examples
    ///
    /// ```
    /// use async_domain::new_async_domain;
    ///
    /// let domain = new_async_domain!("placed", GFP_KERNEL)?;
    /// domain.on_node(0)?.schedule(|_| pr_info!("on node 0\n"), GFP_KERNEL)?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL`: there cannot be such a node.
    pub fn on_node(&self, node: i32) -> Result<Placed<'_>> {
        // CAST: A small number.
        if node < 0 || node >= ffi::MAX_NUMNODES as i32 {
            return Err(EINVAL);
        }
        Ok(Placed { domain: self, node })
    }

    /// Tasks that are submitted through this run on the NUMA node of a device, if it has one (C's
    /// `async_schedule_dev_domain()`).
    // Tested by: mutant placement-ignored, kunit tasks_run_where_they_were_asked_to.
    pub fn near(&self, device: &Device) -> Placed<'_> {
        // SAFETY: The device is valid. `Device` is a transparent wrapper.
        let node = unsafe { ffi::dev_to_node(core::ptr::from_ref(device).cast_mut().cast()) };

        Placed { domain: self, node }
    }

    /// Tasks that are submitted through this run anywhere.
    #[inline]
    pub(crate) fn anywhere(&self) -> Placed<'_> {
        Placed {
            domain: self,
            node: ffi::NUMA_NO_NODE,
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

    #[test]
    fn tasks_run_where_they_were_asked_to() -> Result {
        if kunit::lacks_second_node() {
            return Ok(());
        }
        let (domain, nodes) = (domain()?, kunit::nodes());

        // The workqueue wakes a worker there, but the scheduler may move it. If the node did not
        // matter, then one half of them would be where they should.
        let mut there = 0;
        for i in 0..100 {
            let node = i % nodes;
            let ran_on = domain
                .on_node(node)?
                .schedule_with_handle(|_| ffi::numa_node_id(), GFP_KERNEL)?;
            if ran_on.join()? == node {
                there += 1;
            }
        }
        pr_info!("{there} of 100 tasks ran on their node\n");
        assert!(there >= 75);
        Ok(())
    }

    #[test]
    fn tasks_of_one_queue_run_on_their_nodes() -> Result {
        if kunit::lacks_second_node() {
            return Ok(());
        }
        let (domain, nodes, gate) = (domain()?, kunit::nodes(), Gate::new()?);
        let g = gate.clone();
        let mut handles = KVec::new();

        // In pairs, so that a worker could take a task of the other node, and may take one of its own.
        domain.schedule(move |_| g.wait(), GFP_KERNEL)?;
        for i in 0..200 {
            let node = i / 2 % nodes;
            let handle = domain
                .on_node(node)?
                .schedule_with_handle(move |_| ffi::numa_node_id() == node, GFP_KERNEL)?;
            handles.push(handle, GFP_KERNEL)?;
        }
        gate.open();
        let mut there = 0;
        for handle in handles {
            there += i32::from(handle.join()?);
        }
        pr_info!("{there} of 200 tasks ran on their node\n");
        assert!(there >= 150);
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
            .schedule_with_handle(|_| true, GFP_KERNEL)?;
        assert_eq!(ran.join(), Ok(true));
        Ok(())
    }
}
