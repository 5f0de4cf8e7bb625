// SPDX-License-Identifier: GPL-2.0

//! Workqueues (kernel/workqueue.c). There is one line of items for all queues, and who runs them is
//! the scenario's to say. Unlike the kernel's, an item that was queued again may run beside itself.

use super::{
    ffi::work_struct,
    world, //
};
use loom::sync::{
    Condvar,
    Mutex, //
};
use std::collections::VecDeque;

pub struct Works {
    /// The lock of the pool, and the items' pending bits.
    line: Mutex<VecDeque<*mut work_struct>>,
    more: Condvar,
}

impl Works {
    pub fn new() -> Self {
        Self {
            line: Mutex::new(VecDeque::new()),
            more: Condvar::new(),
        }
    }
}

pub fn queue_work(work: *mut work_struct) -> bool {
    let works = world::works();
    let mut line = works.line.lock().unwrap();

    world::touch(work.addr());
    if line.contains(&work) {
        return false;
    }
    line.push_back(work);
    works.more.notify_one();
    true
}

pub fn cancel_work(work: *mut work_struct) -> bool {
    let works = world::works();
    let mut line = works.line.lock().unwrap();
    let place = line.iter().position(|&item| item == work);

    world::touch(work.addr());
    place.and_then(|place| line.remove(place)).is_some()
}

/// Does what a worker does: waits for an item, and runs it.
pub fn run_one() {
    let works = world::works();
    let mut line = works.line.lock().unwrap();
    let work = loop {
        match line.pop_front() {
            Some(work) => break work,
            None => line = works.more.wait(line).unwrap(),
        }
    };
    drop(line);
    run(work);
}

/// Runs what is in the line, until there is nothing.
pub fn run_rest() {
    loop {
        let work = world::works().line.lock().unwrap().pop_front();
        let Some(work) = work else { break };
        run(work);
    }
}

fn run(work: *mut work_struct) {
    world::touch(work.addr());
    // SAFETY: What is queued is initialised.
    unsafe { ((*work).func)(work) };
}
