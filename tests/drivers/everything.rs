// SPDX-License-Identifier: GPL-2.0

//! Has one of everything that has a lock.

#![forbid(unsafe_code)]

use async_domain::{
    impl_has_task,
    keyed::WaitTable,
    new_async_domain,
    new_completion_ring,
    new_event_counter,
    new_wait_queue,
    new_wait_table,
    static_domain,
    threshold::{
        CompletionRing,
        EventCounter, //
    },
    wait::{
        Fifo,
        Filter,
        Verdict,
        WaitQueue, //
    },
    Handle,
    OwnedDomain,
    Submit,
    TaskContext,
    TaskHeader,
    TaskItem, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

module! {
    type: Everything,
    name: "everything",
    description: "Has everything that has a lock",
    license: "GPL",
}

static_domain!(static FIXED);

#[derive(Clone, Copy)]
struct Never;

impl Filter for Never {
    type Event = ();
    type Order = Fifo;

    fn judge(&self, _event: &mut ()) -> Verdict<Fifo> {
        Verdict::SKIP
    }
}

#[pin_data]
struct Item {
    #[pin]
    header: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Item { self.header }
}

impl TaskItem for Item {
    type Pointer = Arc<Self>;

    fn run(_this: Arc<Self>, _context: &TaskContext<'_>) {}
}

#[pin_data]
struct Locks {
    #[pin]
    queue: WaitQueue<u32, Never>,
    #[pin]
    counter: EventCounter,
    #[pin]
    ring: CompletionRing<u32>,
    table: WaitTable<u32>,
}

struct Everything {
    _handle: Handle<u32>,
    _locks: Pin<KBox<Locks>>,
    _domain: Arc<OwnedDomain>,
}

/// Every form, so that each of its locks is taken.
fn submit(domain: &Arc<OwnedDomain>) -> Result {
    domain.schedule(GFP_KERNEL, |context| {
        let _ = context.synchronize();
    })?;
    domain.schedule_ordered(GFP_KERNEL, |_| 1, |_, _| ())?;
    domain.schedule(GFP_KERNEL, |_| Ok(()))?;
    domain.schedule_or_run(GFP_KERNEL, |_| ())?;
    domain.on_node(0)?.schedule(GFP_KERNEL, |_| ())?;

    let mut batch = KVec::new();
    for _ in 0..3 {
        batch.push(|_: &TaskContext<'_>| (), GFP_KERNEL)?;
    }
    domain.schedule_batch(GFP_KERNEL, batch)?;

    let item = Arc::pin_init(pin_init!(Item { header <- TaskHeader::new() }), GFP_KERNEL)?;
    domain.begin_item(item.clone())?.finish();
    domain.submit(item)?;

    let token = domain.begin(GFP_KERNEL)?;
    let (d, cookie) = (domain.clone(), token.cookie());
    domain.spawn(GFP_KERNEL, async move {
        let _ = d.synchronize_async(GFP_KERNEL, ..=cookie).await;
    })?;
    token.finish();

    domain.scope(|scope| scope.schedule(GFP_KERNEL, |_| ()).map(|_| ()))?;
    domain.synchronize(..)
}

impl kernel::Module for Everything {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let locks = KBox::try_pin_init(
            try_pin_init!(Locks {
                queue <- new_wait_queue!(1, "queue"),
                counter <- new_event_counter!("counter"),
                ring <- new_completion_ring!(4, GFP_KERNEL, "ring"),
                table: new_wait_table!(4, GFP_KERNEL, "table")?,
            }),
            GFP_KERNEL,
        )?;
        locks.queue.with(|value| **value += 1);
        locks.counter.advance(1);
        locks.ring.post(1)?;
        let _ = locks.table.wake_up(1, || ());

        let domain = Arc::new(new_async_domain!("domain", GFP_KERNEL)?, GFP_KERNEL)?;
        submit(&domain)?;
        FIXED.schedule(GFP_KERNEL, |_| ())?;
        FIXED.synchronize(..)?;
        domain.schedule_with_handle(GFP_KERNEL, |_| 17)?.join()?;
        Ok(Self {
            _handle: domain.schedule_with_handle(GFP_KERNEL, |_| 17)?,
            _locks: locks,
            _domain: domain,
        })
    }
}
