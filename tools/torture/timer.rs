// SPDX-License-Identifier: GPL-2.0

//! Timers that finish tokens in hard interrupts.

use crate::{
    in_flight::InFlight,
    rng::Rng,
    stats::Kind, //
};
use kernel::{
    alloc::allocator::Kmalloc,
    impl_has_hr_timer,
    prelude::*,
    time::{
        hrtimer::{
            BoxHrTimerHandle,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart, //
        },
        Delta,
        Monotonic, //
    },
};

#[cfg(CONFIG_PREEMPT_RT)]
use kernel::time::hrtimer::RelativeHardMode as HardIrq;
// Timers expire in hard interrupts anyway; lockdep, which thinks of `PREEMPT_RT` at all times, allows no
// lock that sleeps there to those that are said to need it.
#[cfg(not(CONFIG_PREEMPT_RT))]
use kernel::time::hrtimer::RelativeMode as HardIrq;

/// How many timers a thread has at a time.
const TIMERS: usize = 8;

/// Finishes a token each time that it expires.
#[pin_data]
pub(crate) struct Finisher {
    #[pin]
    timer: HrTimer<Self>,
    tokens: KVec<InFlight>,
    rng: Rng,
}

impl HrTimerCallback for Finisher {
    type Pointer<'a> = Pin<KBox<Self>>;

    fn run(this: Pin<&mut Self>, mut context: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let this = this.project();

        if let Some(token) = this.tokens.pop() {
            Kind::FinishInIrq.count();
            token.finish();
        }
        if this.tokens.is_empty() {
            return HrTimerRestart::NoRestart;
        }
        context.forward_now(Delta::from_micros(i64::from(this.rng.range(5, 300))));
        HrTimerRestart::Restart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Finisher {
        mode: HardIrq<Monotonic>, field: self.timer
    }
}

/// The timers of a thread. One that is dropped stops; its tokens are then finished by the thread.
pub(crate) struct Timers {
    running: KVec<BoxHrTimerHandle<Finisher, Kmalloc>>,
    next: usize,
}

impl Timers {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            running: KVec::with_capacity(TIMERS, GFP_KERNEL)?,
            next: 0,
        })
    }

    /// Has a timer finish the tokens, the last one first.
    pub(crate) fn finish(&mut self, tokens: KVec<InFlight>, rng: &mut Rng) -> Result {
        let own = rng.fork();
        let timer = KBox::pin_init(
            pin_init!(Finisher {
                timer <- HrTimer::new(),
                tokens,
                rng: own,
            }),
            GFP_KERNEL,
        )?;
        let running = timer.start(Delta::from_micros(i64::from(rng.range(5, 500))));

        if self.running.len() < TIMERS {
            self.running.push(running, GFP_KERNEL)?;
        } else {
            self.next = (self.next + 1) % TIMERS;
            self.running[self.next] = running;
        }
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.running.clear();
    }
}
