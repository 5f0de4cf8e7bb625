// SPDX-License-Identifier: GPL-2.0

//! A counter, a ring and a table of one thread, to which a task gives what the thread waits for, and nothing more.

use crate::{
    check::check,
    how::How,
    stats::Kind, //
};
use async_domain::{
    keyed::WaitTable,
    new_completion_ring,
    new_event_counter,
    new_wait_table,
    threshold::{
        CompletionRing,
        EventCounter, //
    },
    wait::Counts, //
};
use kernel::{
    fmt,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    },
};

pub(crate) const MAX: usize = 8;
/// A key, and one that shares its queue.
const KEY: u32 = 1;
const STRANGER: u32 = 2;

/// What the thread and the task share.
#[pin_data]
pub(crate) struct Exact {
    form: Form,
    nr: u64,
    #[pin]
    counter: EventCounter,
    #[pin]
    ring: CompletionRing<u64>,
    table: WaitTable<u32>,
    woken: Atomic<bool>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    Counter,
    Ring,
    Table,
}

impl Exact {
    pub(crate) fn new(form: Form, nr: u64) -> Result<Arc<Self>> {
        let table = new_wait_table!(1, GFP_KERNEL, "torture_exact_table")?;

        Arc::pin_init(
            try_pin_init!(Self {
                form,
                nr,
                counter <- new_event_counter!("torture_exact_counter"),
                ring <- new_completion_ring!(MAX, GFP_KERNEL, "torture_exact_ring"),
                table,
                woken: Atomic::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// Gives the thread what it waits for.
    pub(crate) fn give(&self) {
        match self.form {
            Form::Counter => {
                for _ in 0..self.nr {
                    Kind::Advance.count();
                    self.counter.advance(1);
                }
            }
            Form::Ring => {
                for event in 0..self.nr {
                    Kind::Post.count();
                    check!(
                        self.ring.post(event).is_ok(),
                        "a ring that has room is full"
                    );
                }
            }
            Form::Table => {
                Kind::WakeUp.count_many(2);
                self.table.wake_up(STRANGER, || ());
                self.table.wake_up(KEY, || self.woken.store(true, Relaxed));
            }
        }
    }

    /// Waits for it.
    pub(crate) fn wait(&self, how: How) -> Result {
        match self.form {
            Form::Counter => {
                Kind::WaitFor.count();
                self.counter.wait_for(self.nr, how.mode)
            }
            Form::Ring => {
                let mut events = [0; MAX];
                // CAST: A small number.
                let nr = self.nr as usize;

                Kind::Take.count();
                let taken = self.ring.wait(&mut events, nr, how.mode)?;
                // What was taken too early is given back, in its place, as there is no other consumer.
                if taken < nr && how.may_end() {
                    for event in &events[..taken] {
                        let _ = self.ring.post(*event);
                    }
                    return Err(EAGAIN);
                }
                check!(taken == nr, "of {nr} events {taken} were taken");
                Ok(())
            }
            Form::Table => {
                Kind::WaitKey.count();
                self.table
                    .wait_event(KEY, how.mode, || self.woken.load(Relaxed))
            }
        }
    }

    /// Whether it is there.
    pub(crate) fn holds(&self) -> bool {
        match self.form {
            Form::Counter => self.counter.read() >= self.nr,
            // CAST: `usize` is at most 64 bits wide.
            Form::Ring => self.ring.available() as u64 >= self.nr,
            Form::Table => self.woken.load(Relaxed),
        }
    }

    fn counts(&self) -> Counts {
        match self.form {
            Form::Counter => self.counter.counts(),
            Form::Ring => self.ring.counts(),
            Form::Table => self.table.counts(),
        }
    }

    /// Checks what is left.
    pub(crate) fn is_over(&self) {
        let counts = self.counts();

        check!(
            counts.spurious == 0 && counts.wakeups <= counts.waits,
            "{:?}: spurious wakeups, or wakeups without waits: {counts:?}",
            self.form
        );
        check!(
            !matches!(self.form, Form::Table) || self.woken.load(Relaxed),
            "a key was woken, but it was another"
        );
    }
}

impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (form, nr, counts) = (self.form, self.nr, self.counts());
        f.write_fmt(fmt!("{nr} of its own {form:?}, {counts:?}"))
    }
}
