// SPDX-License-Identifier: GPL-2.0

//! Waits where it should not.

use async_domain::{
    new_async_domain, new_wait_queue,
    wait::{
        Fifo,
        Filter,
        Verdict,
        WaitQueue, //
    },
    Submit,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

module! {
    type: Mistaken,
    name: "mistaken",
    description: "Waits where it should not",
    license: "GPL",
}

#[derive(Clone, Copy)]
struct Never;

impl Filter for Never {
    type Event = ();
    type Order = Fifo;

    fn judge(&self, _event: &mut ()) -> Verdict<Fifo> {
        Verdict::SKIP
    }
}

struct Mistaken;

impl kernel::Module for Mistaken {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let domain = Arc::new(new_async_domain!("mistaken", GFP_KERNEL)?, GFP_KERNEL)?;
        let queue = KBox::pin_init(new_wait_queue!(()), GFP_KERNEL)?;
        let queue: &WaitQueue<(), Never> = &queue;
        let mutex: Arc<Mutex<()>> = Arc::pin_init(new_mutex!((), "of_tasks"), GFP_KERNEL)?;

        pr_info!("waiting in atomic context\n");
        let _ = queue.with(|_| domain.synchronize(..));

        pr_info!("draining under a lock\n");
        let m = mutex.clone();
        domain.schedule(GFP_KERNEL, move |_| drop(m.lock()))?;
        domain.synchronize(..)?;
        let guard = mutex.lock();
        domain.synchronize(..)?;
        drop(guard);
        Ok(Self)
    }
}
