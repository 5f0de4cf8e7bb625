// SPDX-License-Identifier: GPL-2.0

//! The dispatcher of a domain, on the workqueue and off it, and the module that its tasks share.

use super::{
    core::domain::NO_DISPATCHER,
    dispatcher::{
        FREE,
        TABLE, //
    },
    header::{
        Ops,
        Task, //
    },
    scenarios::{
        Job,
        Log, //
    },
    AsyncDomain,
    Cancelled,
    Cookie, //
};
use crate::{
    ffi,
    model::{
        sched,
        workqueue,
        world, //
    },
};
use kernel::{
    prelude::*,
    sync::atomic::ordering::Relaxed, //
};
use loom::sync::{
    Condvar,
    Mutex, //
};
use std::{
    ptr,
    rc::Rc, //
};

/// What must be true of a domain whenever its lock is free.
fn check(domain: &AsyncDomain) {
    domain.queue.with(|state| {
        assert_eq!(
            state.dispatcher != NO_DISPATCHER,
            state.pending.queued() > 0,
            "a dispatcher is called if and only if tasks are queued"
        );
    });
}

/// Called by a task: those with lower cookies have begun.
fn check_begun(domain: &AsyncDomain, cookie: Cookie) {
    check(domain);
    domain.queue.with(|state| {
        let next = state.pending.first_queued().map(|node| node.cookie());
        assert!(
            next.is_none_or(|next| next > cookie),
            "a task began before one with a lower cookie"
        );
    });
}

/// Submits a task that says when it has run.
fn submit(domain: &'static AsyncDomain, ops: &'static Ops) -> (NonNull<Task>, Cookie, Log) {
    submit_on(ffi::NUMA_NO_NODE, domain, ops)
}

fn submit_on(
    nid: c_int,
    domain: &'static AsyncDomain,
    ops: &'static Ops,
) -> (NonNull<Task>, Cookie, Log) {
    let log = Log::new();
    let l = log.clone();
    let task = Job::new(
        ops,
        move |context| {
            check_begun(domain, context.cookie());
            l.add(1);
        },
        |_| (),
    );
    let cookie = Job::submit_on(nid, task, domain).unwrap();
    (task, cookie, log)
}

fn workers() -> [sched::Started<()>; 2] {
    [(); 2].map(|()| sched::spawn(workqueue::serve))
}

fn end(workers: impl IntoIterator<Item = sched::Started<()>>) {
    workqueue::stop();
    for worker in workers {
        worker.join();
    }
}

/// Three tasks, two workers: each is run once, and the domain is dropped as soon as it is empty, maybe while
/// a worker begins with the dispatcher.
pub fn queue() {
    let domain = AsyncDomain::begin();
    let logs = [(); 3].map(|()| submit(domain, &Job::TASK).2);
    let workers = workers();

    domain.end();
    for log in &logs {
        assert_eq!(log.get(), [1]);
    }
    end(workers);
}

/// The same, with ordered tasks, which a worker leaves before they finish.
pub fn ordered() {
    let domain = AsyncDomain::begin();
    let logs = [(); 3].map(|()| submit(domain, &Job::ORDERED).2);
    let workers = workers();

    domain.end();
    for log in &logs {
        assert_eq!(log.get(), [1]);
    }
    end(workers);
}

/// The same, with tasks in the caller's memory, whose places move to the workers' frames.
pub fn items() {
    let domain = AsyncDomain::begin();
    let jobs = [(); 3].map(|()| submit(domain, &Job::ITEM));
    let workers = workers();

    domain.end();
    for (task, _, log) in &jobs {
        assert_eq!(log.get(), [1]);
        world::memory_ends(task.as_ptr().addr());
    }
    end(workers);
}

/// The same, with tasks for different nodes.
pub fn nodes() {
    let domain = AsyncDomain::begin();
    let logs = [0, 1, ffi::NUMA_NO_NODE].map(|nid| submit_on(nid, domain, &Job::TASK).2);
    let workers = workers();

    domain.end();
    for log in &logs {
        assert_eq!(log.get(), [1]);
    }
    end(workers);
}

/// Tasks are submitted while a worker finishes others, and takes the next.
pub fn submission() {
    let domain = AsyncDomain::begin();
    let first = submit(domain, &Job::TASK).2;
    let workers = workers();

    let second = submit(domain, &Job::TASK).2;
    check(domain);
    let third = submit(domain, &Job::TASK).2;
    domain.end();
    for log in [first, second, third] {
        assert_eq!(log.get(), [1]);
    }
    end(workers);
}

/// The last queued task is cancelled while workers begin with the dispatcher; then the domain is dropped.
pub fn cancel_last() {
    let domain = AsyncDomain::begin();
    let first = submit(domain, &Job::TASK).2;
    let (_, cookie, last) = submit(domain, &Job::TASK);
    let workers = workers();

    let cancelled = domain.cancel(cookie) == Cancelled::Dropped;
    check(domain);
    domain.end();
    assert_eq!(first.get(), [1]);
    assert_eq!(last.get().len(), if cancelled { 0 } else { 1 });
    end(workers);
}

/// The only queued task is cancelled, and another one comes: it calls a dispatcher again.
pub fn cancel_and_submit() {
    let domain = AsyncDomain::begin();
    let (_, cookie, first) = submit(domain, &Job::TASK);
    let workers = workers();

    let cancelled = domain.cancel(cookie) == Cancelled::Dropped;
    check(domain);
    let next = submit(domain, &Job::TASK).2;
    domain.end();
    assert_eq!(first.get().len(), if cancelled { 0 } else { 1 });
    assert_eq!(next.get(), [1]);
    end(workers);
}

/// Two threads cancel all queued tasks, while a worker begins with one.
pub fn cancel_by_two() {
    let domain = AsyncDomain::begin();
    let logs = [(); 2].map(|()| submit(domain, &Job::TASK).2);
    let worker = sched::spawn(workqueue::serve);
    let other = sched::spawn(move || domain.cancel_all());

    let cancelled = domain.cancel_all() + other.join();
    check(domain);
    domain.end();
    let ran: usize = logs.iter().map(|log| log.get().len()).sum();
    assert_eq!(ran, 2 - cancelled);
    end([worker]);
}

/// The first queued task is cancelled, for whose node the dispatcher was: the worker that begins with it sends
/// another one to that of the next task.
pub fn cancel_other_node() {
    let domain = AsyncDomain::begin();
    let (_, cookie, first) = submit_on(0, domain, &Job::TASK);
    let second = submit_on(1, domain, &Job::TASK).2;
    let workers = workers();

    let cancelled = domain.cancel(cookie) == Cancelled::Dropped;
    check(domain);
    domain.end();
    assert_eq!(first.get().len(), if cancelled { 0 } else { 1 });
    assert_eq!(second.get(), [1]);
    end(workers);
}

/// A task waits for one that is submitted after it has begun: another worker begins with that.
pub fn parallel() {
    let domain = AsyncDomain::begin();
    let gate = Rc::new((Mutex::new(false), Condvar::new()));
    let g = gate.clone();
    let waits = Job::new(
        &Job::TASK,
        move |_| {
            let mut open = g.0.lock().unwrap();
            while !*open {
                open = g.1.wait(open).unwrap();
            }
        },
        |_| (),
    );
    let opens = Job::new(
        &Job::TASK,
        move |_| {
            *gate.0.lock().unwrap() = true;
            gate.1.notify_one();
        },
        |_| (),
    );
    Job::submit(waits, domain).unwrap();
    let workers = workers();

    Job::submit(opens, domain).unwrap();
    domain.end();
    end(workers);
}

/// Dispatchers are taken from the stack of free ones, and given back, while a thread is about to take one.
pub fn free_list() {
    let domains = [(); 4].map(|()| AsyncDomain::begin());
    let [slow, cancelled, kept, last] = domains;
    let other = sched::spawn(move || submit(slow, &Job::TASK).2);

    let (_, cookie, first) = submit(cancelled, &Job::TASK);
    let second = submit(kept, &Job::TASK).2;
    assert_eq!(cancelled.cancel(cookie), Cancelled::Dropped);
    let mut logs = vec![second, other.join()];
    logs.push(submit(last, &Job::TASK).2);
    workqueue::run_rest();
    assert!(first.get().is_empty());
    for log in logs {
        assert_eq!(log.get(), [1]);
    }
    for domain in domains {
        domain.end();
    }
}

/// There is one dispatcher in this execution.
fn with_one_dispatcher() {
    FREE.store(NO_DISPATCHER.into(), Relaxed);
    TABLE[0].put();
}

/// A domain wants the only dispatcher while the worker of another domain gives it back.
pub fn wanted() {
    with_one_dispatcher();
    let domains = [(); 2].map(|()| AsyncDomain::begin());
    let first = submit(domains[0], &Job::TASK).2;
    let workers = workers();

    let second = submit(domains[1], &Job::TASK).2;
    check(domains[1]);
    for domain in domains {
        domain.end();
    }
    assert_eq!((first.get(), second.get()), (vec![1], vec![1]));
    end(workers);
}

/// The only task of a domain that wants the dispatcher is cancelled while it is given one; then there is
/// another one.
pub fn wanted_cancel() {
    with_one_dispatcher();
    let domains = [(); 2].map(|()| AsyncDomain::begin());
    let first = submit(domains[0], &Job::TASK).2;
    let (_, cookie, second) = submit(domains[1], &Job::TASK);
    let worker = sched::spawn(workqueue::serve);

    let cancelled = domains[1].cancel(cookie) == Cancelled::Dropped;
    check(domains[1]);
    let third = submit(domains[1], &Job::TASK).2;
    for domain in domains {
        domain.end();
    }
    assert_eq!((first.get(), third.get()), (vec![1], vec![1]));
    assert_eq!(second.get().len(), if cancelled { 0 } else { 1 });
    end([worker]);
}

/// Two domains want the only dispatcher at the same time, while it is given back.
pub fn wanted_by_two() {
    with_one_dispatcher();
    let domains = [(); 3].map(|()| AsyncDomain::begin());
    let mut logs = vec![submit(domains[0], &Job::TASK).2];
    let worker = sched::spawn(workqueue::serve);
    let other = sched::spawn(move || submit(domains[1], &Job::TASK).2);

    logs.push(submit(domains[2], &Job::TASK).2);
    logs.push(other.join());
    for domain in domains {
        domain.end();
    }
    for log in logs {
        assert_eq!(log.get(), [1]);
    }
    end([worker]);
}

// --- The owner -----------------------------------------------------------------------------------

/// A task whose code is in a module, which it uses until its end.
fn task_of(module: *mut ffi::module, run: impl FnOnce() + 'static) -> NonNull<Task> {
    Job::of_module(module, Job::TASK, run)
}

/// Two tasks share the reference that their domain holds on its owner, which somebody tries to unload; the
/// domain is leaked as far as the owner knows.
pub fn owner() {
    let module = ffi::load_module();
    let domain = AsyncDomain::begin_of(module);
    Job::submit(task_of(module, || ()), domain).unwrap();
    Job::submit(task_of(module, || ()), domain).unwrap();
    let workers = [(); 2].map(|()| sched::spawn(workqueue::run_one));

    let unloaded = ffi::unload_module(module);
    for worker in workers {
        worker.join();
    }
    assert!(unloaded || ffi::unload_module(module));
    domain.end();
}

/// The same, with a task in the caller's memory, whose place moves.
pub fn owner_item() {
    let module = ffi::load_module();
    let domain = AsyncDomain::begin_of(module);
    let task = Job::of_module(module, Job::ITEM, || ());
    Job::submit(task, domain).unwrap();
    let worker = sched::spawn(workqueue::run_one);

    let unloaded = ffi::unload_module(module);
    worker.join();
    assert!(unloaded || ffi::unload_module(module));
    domain.end();
    world::memory_ends(task.as_ptr().addr());
}

/// A task of an owner comes while the last one that shares the reference leaves.
pub fn owner_again() {
    let module = ffi::load_module();
    let domain = AsyncDomain::begin_of(module);
    Job::submit(task_of(module, || ()), domain).unwrap();
    let worker = sched::spawn(workqueue::run_one);

    Job::submit(task_of(module, || ()), domain).unwrap();
    let unloaded = ffi::unload_module(module);
    worker.join();
    workqueue::run_rest();
    assert!(unloaded || ffi::unload_module(module));
    domain.end();
}

/// A task drops its domain, which another one uses; from then on it has its own reference on the owner.
pub fn owner_detached() {
    let module = ffi::load_module();
    let domain = AsyncDomain::begin_of(module);
    Job::submit(task_of(module, || domain.end()), domain).unwrap();
    Job::submit(task_of(module, || ()), domain).unwrap();
    let workers = [(); 2].map(|()| sched::spawn(workqueue::run_one));

    let unloaded = ffi::unload_module(module);
    for worker in workers {
        worker.join();
    }
    assert!(unloaded || ffi::unload_module(module));
}
