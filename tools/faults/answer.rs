// SPDX-License-Identifier: GPL-2.0

//! Hardware that answers by interrupt: a timer that finishes a token.

use async_domain::{
    new_wait_queue,
    wait::{
        Fifo,
        Filter,
        Verdict,
        WaitQueue, //
    },
    Token, //
};
use kernel::{
    alloc::Flags,
    impl_has_hr_timer,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    time::{
        hrtimer::{
            ArcHrTimerHandle,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart,
            RelativeMode, //
        },
        Delta,
        Monotonic, //
    },
};

/// Nobody waits: the queue is used as a lock that interrupts may take.
#[derive(Clone, Copy)]
struct Nobody;

impl Filter for Nobody {
    type Event = ();
    type Order = Fifo;

    fn judge(&self, _event: &mut ()) -> Verdict<Fifo> {
        Verdict::SKIP
    }
}

/// An answer that is to come.
#[pin_data]
pub(crate) struct Answer {
    #[pin]
    timer: HrTimer<Self>,
    #[pin]
    token: WaitQueue<Option<Token>, Nobody>,
}

impl HrTimerCallback for Answer {
    type Pointer<'a> = Arc<Self>;

    fn run(
        this: ArcBorrow<'_, Self>,
        _context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        let token = this.token.with(|token| token.take());

        if let Some(token) = token {
            token.finish();
        }
        HrTimerRestart::NoRestart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Answer {
        mode: RelativeMode<Monotonic>, field: self.timer
    }
}

impl Answer {
    /// Makes an answer to nothing yet.
    pub(crate) fn new(flags: Flags) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                timer <- HrTimer::new(),
                token <- new_wait_queue!(None),
            }),
            flags,
        )
    }

    /// Lets it come, after that long, and finish the token. Dropping what this returns waits for the
    /// interrupt, if it is there, or it does not come.
    pub(crate) fn comes_after(
        self: Arc<Self>,
        delay: Delta,
        token: Token,
    ) -> ArcHrTimerHandle<Self> {
        let mut token = Some(token);

        self.token
            .with(|slot| core::mem::swap(&mut **slot, &mut token));
        self.start(delay)
    }
}
