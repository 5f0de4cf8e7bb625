// SPDX-License-Identifier: GPL-2.0

//! Tasks that run until they are told to end.

use crate::form::{
    Form,
    Job, //
};
use kernel::{
    prelude::*,
    sync::Completion, //
};

/// What a task waits for before it ends.
#[pin_data]
pub(crate) struct Gate {
    #[pin]
    open: Completion,
}

impl Job for Gate {
    fn run(&self) {
        self.open.wait_for_completion();
    }
}

/// Tasks that each wait in a worker, and end when their gate is opened.
///
/// Every form has the same ones, so that the cost of ending them (waking the worker, which returns
/// from the function and then does what its form does) is that of the form, and otherwise equal.
pub(crate) struct Gated<'a, F: Form> {
    form: &'a F,
    gates: KVVec<Pin<KBox<Gate>>>,
    cookies: KVVec<F::Cookie>,
}

impl<'a, F: Form> Gated<'a, F> {
    /// Submits `n` tasks with a gate each. As many as the form's workqueue allows are running soon; the others start
    /// when those before them have ended.
    pub(crate) fn new(form: &'a F, n: usize) -> Result<Self> {
        Self::with_gates(form, n, n)
    }

    /// As [`Self::new`], with one gate (0) for all.
    pub(crate) fn with_one_gate(form: &'a F, n: usize) -> Result<Self> {
        Self::with_gates(form, n, 1)
    }

    fn with_gates(form: &'a F, n: usize, nr_gates: usize) -> Result<Self> {
        let mut this = Self {
            form,
            gates: KVVec::with_capacity(nr_gates, GFP_KERNEL)?,
            cookies: KVVec::with_capacity(n, GFP_KERNEL)?,
        };

        for _ in 0..nr_gates {
            let gate = KBox::pin_init(pin_init!(Gate { open <- Completion::new() }), GFP_KERNEL)?;
            this.gates.push(gate, GFP_KERNEL)?;
        }
        for i in 0..n {
            let gate = &this.gates[i % nr_gates];
            // SAFETY: The gate stays valid until `drop` has waited for all tasks.
            let cookie = unsafe { form.schedule(&**gate) }?;
            this.cookies.push(cookie, GFP_KERNEL)?;
        }
        Ok(this)
    }

    /// Opens a gate: who waits at it ends.
    #[inline]
    pub(crate) fn open(&self, gate: usize) {
        self.gates[gate].open.complete_all();
    }

    /// Waits until this task and those before it are done.
    pub(crate) fn synchronize(&self, i: usize) {
        self.form.synchronize(self.cookies[i]);
    }
}

impl<F: Form> Drop for Gated<'_, F> {
    fn drop(&mut self) {
        for i in 0..self.gates.len() {
            self.open(i);
        }
        self.form.drain();
    }
}
