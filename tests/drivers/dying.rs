// SPDX-License-Identifier: GPL-2.0

//! A module with a bug.

#![forbid(unsafe_code)]

use async_domain::{
    impl_has_task,
    new_async_domain,
    Submit,
    TaskContext,
    TaskHeader,
    TaskItem, //
};
use core::hint::black_box;
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta, //
    },
};

module! {
    type: Dying,
    name: "dying",
    description: "Dies",
    license: "GPL",
    params: {
        place: i32 {
            default: 0,
            description: "Where: 0 in a scope, 1 in its own context, 2 in an item, 3 in plain tasks",
        },
    },
}

struct Dying;

/// An index out of bounds.
fn die() {
    let table = [1, 2, 3];
    pr_info!("{}\n", table[black_box(7)]);
}

#[pin_data]
struct Item {
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Item { self.task }
}

impl TaskItem for Item {
    type Pointer = Pin<KBox<Self>>;

    fn run(_this: Pin<KBox<Self>>, _context: &TaskContext<'_>) {
        die();
    }
}

impl kernel::Module for Dying {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let domain = new_async_domain!("dying", GFP_KERNEL)?;
        let place = module_parameters::place.value();

        match place {
            0 => {
                let mut borrowed = [0u64; 128];

                domain.scope(|scope| -> Result {
                    let b = &mut borrowed;
                    let task = move |_: &TaskContext<'_>| {
                        for i in 0..100 {
                            fsleep(Delta::from_millis(20));
                            b.fill(i);
                        }
                    };
                    scope.schedule(GFP_KERNEL, task)?;
                    die();
                    Ok(())
                })?;
            }
            1 => {
                domain.set_limit(0);
                domain.schedule_or_run(GFP_KERNEL, |_| die())?;
            }
            2 => {
                let init = pin_init!(Item { task <- TaskHeader::new() });
                domain.submit(KBox::pin_init(init, GFP_KERNEL)?)?;
            }
            _ => {
                for _ in 0..8 {
                    domain.schedule(GFP_KERNEL, |_| die())?;
                }
            }
        }
        fsleep(Delta::from_millis(1000));

        // Other workers, and other domains. (The first one has tasks that never finish.)
        core::mem::forget(domain);
        let other = new_async_domain!("other", GFP_KERNEL)?;
        let third = Arc::new(new_async_domain!("third", GFP_KERNEL)?, GFP_KERNEL)?;
        for _ in 0..64 {
            let t = third.clone();
            other.schedule(GFP_KERNEL, move |_| {
                fsleep(Delta::from_millis(10));
                t.synchronize(..)
            })?;
        }
        other.synchronize_result()?;
        pr_info!("others are not affected\n");
        Ok(Self)
    }
}
