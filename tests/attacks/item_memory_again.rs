// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! Items free themselves as they run, and wait for others that have their addresses then, in domains of strangers.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use async_domain::{
    impl_has_task,
    TaskHeader,
    TaskItem, //
};
use lib::*;

attack!("item_memory_again");

#[pin_data]
struct Item {
    /// A stranger's domain, and where to count: in one that waits.
    waits: Option<(Arc<OwnedDomain>, Count)>,
    padding: [u8; 900],
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Item { self.task }
}

fn item(waits: Option<(Arc<OwnedDomain>, Count)>) -> Result<Pin<KBox<Item>>> {
    KBox::pin_init(
        pin_init!(Item {
            waits,
            padding: [0; 900],
            task <- TaskHeader::new(),
        }),
        GFP_KERNEL,
    )
}

/// Waits for an item, if one gets the given address.
fn wait_for_one_at(address: usize, stranger: &AsyncDomain) -> Result {
    let mut others = KVec::new();

    for _ in 0..32 {
        let new = item(None)?;
        if core::ptr::from_ref(&*new).addr() == address {
            let cookie = stranger.on_node(0)?.submit(new).map_err(|e| e.error)?;
            return stranger.synchronize_with(patience(), ..=cookie);
        }
        others.push(new, GFP_KERNEL)?;
    }
    Ok(())
}

impl TaskItem for Item {
    type Pointer = Pin<KBox<Self>>;

    fn run(mut this: Pin<KBox<Self>>, _context: &TaskContext<'_>) {
        let Some((stranger, waited)) = this.as_mut().project().waits.take() else {
            return;
        };
        let address = core::ptr::from_ref(&*this).addr();

        drop(this);
        waited.add(wait_for_one_at(address, &stranger).is_ok().into());
    }
}

fn attack() -> Result {
    let (domain, stranger) = (domain!("items"), domain!("stranger"));
    let waited = Count::new()?;

    for _ in 0..20 {
        let item = item(Some((stranger.clone(), waited.clone())))?;
        domain.on_node(0)?.submit(item).map_err(|e| e.error)?;
        domain.synchronize(..)?;
    }
    check_eq!(waited.get(), 20);
    Ok(())
}
