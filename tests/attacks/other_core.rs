// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! The crate calls something else `core`, in which `offset_of!` lies: the header of an item is found where it is.

#![forbid(unsafe_code)]
#![allow(missing_docs, unused_extern_crates)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

extern crate core as std_core;
extern crate self as core;

use async_domain::{
    domain::HasTask,
    impl_has_task,
    TaskHeader,
    TaskItem, //
};
use lib::*;
pub use std_core::*;

pub mod mem {
    pub use std_core::mem::*;

    #[macro_export]
    macro_rules! lie {
        ($($any:tt)*) => {
            0
        };
    }
    pub use crate::lie as offset_of;
}

attack!("other_core");

#[pin_data]
struct Item {
    padding: [u64; 64],
    ran: Count,
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Item { self.task }
}

impl TaskItem for Item {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, _context: &TaskContext<'_>) {
        this.ran.add(this.padding.iter().sum());
    }
}

fn attack() -> Result {
    let domain = domain!("items");
    let ran = Count::new()?;
    let r = ran.clone();
    let item = Arc::pin_init(
        pin_init!(Item {
            padding: [1; 64],
            ran: r,
            task <- TaskHeader::new(),
        }),
        GFP_KERNEL,
    )?;

    check!(<Item as HasTask<Item>>::OFFSET >= 64 * 8);
    domain.submit(item)?;
    domain.synchronize(..)?;
    check_eq!(ran.get(), 64);
    Ok(())
}
