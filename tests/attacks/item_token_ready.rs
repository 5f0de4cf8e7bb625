// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! A thread that has waited for the cookie of an item's token finds nothing of the token: it can begin the item again at
//! once, no reference is left, and the destructor of an item that nobody else owns has run.

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

attack!("item_token_ready");

/// Takes its time to be dropped.
struct Slow(Count);

impl Drop for Slow {
    fn drop(&mut self) {
        pause(1);
        self.0.add(1);
    }
}

#[pin_data]
struct Request {
    _slow: Slow,
    #[pin]
    header: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Request { self.header }
}

impl TaskItem for Request {
    type Pointer = Arc<Self>;

    fn run(_this: Arc<Self>, _context: &TaskContext<'_>) {}
}

fn request(dropped: &Count) -> Result<Arc<Request>> {
    let slow = Slow(dropped.clone());

    Arc::pin_init(
        pin_init!(Request { _slow: slow, header <- TaskHeader::new() }),
        GFP_KERNEL,
    )
}

fn attack() -> Result {
    let (requests, answers) = (domain!("requests"), domain!("answers"));
    let dropped = Count::new()?;
    let mut again = request(&dropped)?;

    for round in 0..600 {
        let token = requests.begin_item(again.clone())?;
        let answered = token.cookie();
        answers.schedule(GFP_KERNEL, move |_| match round % 3 {
            0 => token.finish(),
            1 => drop(token),
            _ => drop(token.into_item()),
        })?;
        requests.synchronize(..=answered)?;
        if round % 3 == 2 {
            // This one was given back to the task.
            answers.synchronize(..)?;
        }
        let only = Arc::into_unique_or_drop(again);
        check!(only.is_some());
        again = only.ok_or(EIO)?.into();
    }
    check_eq!(dropped.get(), 0);

    for round in 1..=100 {
        let token = requests.begin_item(request(&dropped)?)?;
        let answered = token.cookie();
        answers.schedule(GFP_KERNEL, move |_| token.finish())?;
        requests.synchronize(..=answered)?;
        check_eq!(dropped.get(), round);
    }
    answers.synchronize(..)?;
    check_eq!(requests.stats().finished, 700);
    Ok(())
}
