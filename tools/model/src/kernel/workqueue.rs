// SPDX-License-Identifier: GPL-2.0

//! Workqueues (kernel/workqueue.c). There is one line of items for all queues, and who runs them is
//! the scenario's to say. An item that is queued again while a worker runs it is left to that worker
//! (`find_worker_executing_work()`), who knows it by its address and function.

use super::{
    ffi::work_struct,
    sched,
    world, //
};
use loom::sync::{
    Condvar,
    Mutex, //
};
use std::{
    cell::{
        Cell,
        RefCell, //
    },
    collections::VecDeque, //
};

type Function = unsafe fn(*mut work_struct);

pub struct Works {
    /// The lock of the pool, and the items' pending bits.
    line: Mutex<VecDeque<*mut work_struct>>,
    more: Condvar,
    /// What workers are running, and which threads these are. Changed under the lock.
    running: RefCell<Vec<(*mut work_struct, Function, usize)>>,
    stopped: Cell<bool>,
}

impl Works {
    pub fn new() -> Self {
        Self {
            line: Mutex::new(VecDeque::new()),
            more: Condvar::new(),
            running: RefCell::new(Vec::new()),
            stopped: Cell::new(false),
        }
    }

    /// Takes the first item that no worker is running.
    fn take(&self, line: &mut VecDeque<*mut work_struct>) -> Option<*mut work_struct> {
        let mut running = self.running.borrow_mut();
        let place = line.iter().position(|&work| {
            world::touch(work.addr());
            // SAFETY: What is queued is initialised.
            let func = unsafe { (*work).func };
            !running
                .iter()
                .any(|&(item, runs, _)| item == work && std::ptr::fn_addr_eq(runs, func))
        })?;
        let work = line.remove(place)?;

        // SAFETY: As above.
        running.push((work, unsafe { (*work).func }, sched::current()));
        Some(work)
    }

    /// Runs an item, and again if it was queued again meanwhile.
    fn run(&self, work: *mut work_struct) {
        // SAFETY: What is queued is initialised.
        let func = unsafe { (*work).func };
        loop {
            // SAFETY: As above.
            unsafe { func(work) };
            let mut line = self.line.lock().unwrap();
            let again = line.iter().position(|&item| {
                // SAFETY: As above.
                item == work && std::ptr::fn_addr_eq(unsafe { (*item).func }, func)
            });
            match again {
                Some(place) => line.remove(place),
                None => {
                    let mut running = self.running.borrow_mut();
                    let mine = |&(_, _, thread): &_| thread == sched::current();
                    let place = running.iter().rposition(mine);
                    running.swap_remove(place.expect("what this worker runs"));
                    return;
                }
            };
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

/// Called by code of a consumer, which may wait for what it allocates and queues: that may be at the address of
/// what this worker runs, and be left to it, if that memory was freed.
pub fn may_wait() {
    // Its own do not change: the lock is not needed, and would only be one more thing to interleave.
    for &(work, _, thread) in &*world::works().running.borrow() {
        if thread == sched::current() {
            world::touch(work.addr());
        }
    }
}

/// Does what a worker does: waits for an item, and runs it.
pub fn run_one() {
    let works = world::works();
    let mut line = works.line.lock().unwrap();
    let work = loop {
        match works.take(&mut line) {
            Some(work) => break work,
            None => line = works.more.wait(line).unwrap(),
        }
    };
    drop(line);
    works.run(work);
}

/// Does what a worker does, until there is nothing more and [`stop`] has been called.
pub fn serve() {
    let works = world::works();
    loop {
        let mut line = works.line.lock().unwrap();
        let work = loop {
            match works.take(&mut line) {
                Some(work) => break work,
                None if works.stopped.get() => return,
                None => line = works.more.wait(line).unwrap(),
            }
        };
        drop(line);
        works.run(work);
    }
}

/// There will be no more items than there are.
pub fn stop() {
    let works = world::works();
    let _line = works.line.lock().unwrap();

    works.stopped.set(true);
    works.more.notify_all();
}

/// Runs what is in the line, until there is nothing.
pub fn run_rest() {
    let works = world::works();
    loop {
        let work = works.take(&mut works.line.lock().unwrap());
        let Some(work) = work else { break };
        works.run(work);
    }
}
