// SPDX-License-Identifier: GPL-2.0

//! Only a wait that nothing but its condition ends cannot fail.

use async_domain::{
    threshold::EventCounter,
    WaitMode, //
};
#[cfg(wicked)]
use kernel::time::Delta;

fn wait(counter: &EventCounter) {
    let Ok(()) = counter.wait_for(1, WaitMode::UNINTERRUPTIBLE.freezable().idle().io());
    #[cfg(wicked)]
    // error[E0005]: refutable pattern in local binding
    let Ok(()) = counter.wait_for(1, WaitMode::UNINTERRUPTIBLE.timeout(Delta::from_secs(1)));
}
