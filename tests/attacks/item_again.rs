// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! An item is submitted twice, from its own function, to other domains and as a token; then it is cancelled.

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

attack!("item_again");

#[pin_data]
struct Item {
    gate: Gate,
    ran: Count,
    accepted: Count,
    again: Arc<OwnedDomain>,
    #[pin]
    task: TaskHeader<Self>,
    #[pin]
    other: TaskHeader<Self, 7>,
}

impl_has_task! {
    impl HasTask<Self> for Item { self.task }
    impl HasTask<Self, 7> for Item { self.other }
}

impl TaskItem for Item {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, _context: &TaskContext<'_>) {
        this.gate.wait();
        this.ran.add(1);
        if this.ran.get() & 0xffff < 10 {
            // It may run at once, and so be accepted again.
            for _ in 0..2 {
                let again = this.again.submit::<_, 0>(this.clone());
                this.accepted.add(again.is_ok().into());
            }
        }
    }
}

impl TaskItem<7> for Item {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, _context: &TaskContext<'_>) {
        this.ran.add(1 << 16);
    }
}

fn attack() -> Result {
    let (one, other) = (domain!("one"), domain!("other"));
    let blocker = one.begin(GFP_KERNEL)?;
    let again = other.clone();
    let item = Arc::pin_init(
        try_pin_init!(Item {
            gate: Gate::new()?,
            ran: Count::new()?,
            accepted: Count::new()?,
            again,
            task <- TaskHeader::new(),
            other <- TaskHeader::new(),
        }),
        GFP_KERNEL,
    )?;

    let token = one.begin_item::<_, 0>(item.clone())?;
    for domain in [&one, &other] {
        check!(matches!(domain.submit::<_, 0>(item.clone()), Err(e) if e.error == EBUSY));
        check!(matches!(domain.begin_item::<_, 0>(item.clone()), Err(e) if e.error == EBUSY));
    }
    // The other header is another task.
    other.submit::<_, 7>(item.clone())?;
    other.synchronize(..)?;
    check_eq!(item.ran.get(), 1 << 16);
    drop(token.into_item());

    one.submit::<_, 0>(item.clone())?;
    blocker.finish();
    item.gate.open();
    one.synchronize(..)?;
    other.synchronize(..)?;
    check!(eventually(|| item.ran.get() & 0xffff >= 10));
    other.synchronize(..)?;
    check_eq!(item.ran.get() & 0xffff, item.accepted.get() + 1);
    drop(domain!("last").begin_item::<_, 0>(item.clone())?);
    Ok(())
}
