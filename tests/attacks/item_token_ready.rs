// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! A thread that has waited for the cookie of an item's token begins the item again at once: it is never
//! still in flight.

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

#[pin_data]
struct Request {
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

fn attack() -> Result {
    let (requests, answers) = (domain!("requests"), domain!("answers"));
    let request = Arc::pin_init(
        pin_init!(Request { header <- TaskHeader::new() }),
        GFP_KERNEL,
    )?;

    for round in 0..2000 {
        let token = requests.begin_item(request.clone())?;
        let answered = token.cookie().next();
        answers.schedule(GFP_KERNEL, move |_| match round % 3 {
            0 => token.finish(),
            1 => drop(token),
            _ => drop(token.into_item()),
        })?;
        requests.synchronize(..answered)?;
    }
    answers.synchronize(..)?;
    check_eq!(requests.stats().finished, 2000);
    Ok(())
}
