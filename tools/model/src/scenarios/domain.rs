// SPDX-License-Identifier: GPL-2.0

//! Tasks and tokens of a domain, and who waits for them.

use super::{
    header::{
        Ops,
        Task, //
    },
    pending::Node,
    AsyncDomain,
    Cancelled,
    Cookie,
    ScopeData,
    TaskContext, //
};
use crate::{
    errno::{
        EDEADLK,
        ESHUTDOWN, //
    },
    ffi,
    model::{
        sched,
        workqueue,
        world, //
    },
    wait::WaitMode, //
};
use kernel::{
    error::Result,
    prelude::*, //
};
use loom::cell::UnsafeCell;
use std::{
    cell::RefCell,
    ptr,
    rc::Rc, //
};

const FOREVER: WaitMode = WaitMode::UNINTERRUPTIBLE.fallible();

/// What was done, one after the other: concurrent entries are seen by loom.
#[derive(Clone)]
pub struct Log(Rc<UnsafeCell<Vec<u32>>>);

impl Log {
    pub fn new() -> Self {
        Self(Rc::new(UnsafeCell::new(Vec::new())))
    }

    pub fn add(&self, what: u32) {
        // SAFETY: Loom sees to it that nobody else has it.
        self.0.with_mut(|log| unsafe { (*log).push(what) });
    }

    pub fn get(&self) -> Vec<u32> {
        // SAFETY: As above.
        self.0.with(|log| unsafe { (*log).clone() })
    }
}

// --- Tokens --------------------------------------------------------------------------------------

/// A place in the order without a function.
struct Token {
    domain: &'static AsyncDomain,
    node: *mut Node,
}

impl Token {
    fn begin(domain: &'static AsyncDomain) -> Self {
        let node = world::allocate::<Node>("a token");

        // SAFETY: The memory is ours, and the node in no list.
        unsafe {
            node.write(Node::new(0));
            (*node).has(0);
            domain.link(node, |_| ()).unwrap();
        }
        Self { domain, node }
    }

    fn cookie(&self) -> Cookie {
        // SAFETY: The node is ours.
        unsafe { Node::cookie_of(self.node) }
    }

    fn finish(self) {
        // SAFETY: The node is in the order.
        unsafe { self.domain.finish_elsewhere(self.node, || ()) };
        world::memory_ends(self.node.addr());
    }
}

// --- Tasks ---------------------------------------------------------------------------------------

type Part = Option<Box<dyn FnOnce(&TaskContext<'_>)>>;

/// A task; what it runs is apart, since it may run when the task's memory is gone.
#[repr(C)]
pub struct Job {
    task: Task,
    parts: RefCell<(Part, Part)>,
    discarded: Log,
}

impl Job {
    pub const TASK: Ops = Self::ops(None, false);
    pub const ORDERED: Ops = Self::ops(Some(Self::retire), false);
    pub const ITEM: Ops = Self::ops(None, true);

    const fn ops(retire: Option<unsafe fn(NonNull<Task>, &TaskContext<'_>)>, callers: bool) -> Ops {
        Ops {
            run: Self::run,
            retire,
            discard: Self::discard,
            settle: None,
            callers_memory: callers,
            module: ptr::null_mut(),
        }
    }

    pub fn new(
        ops: &'static Ops,
        run: impl FnOnce(&TaskContext<'_>) + 'static,
        retire: impl FnOnce(&TaskContext<'_>) + 'static,
    ) -> NonNull<Task> {
        let job = world::allocate::<Self>("a task");

        // SAFETY: The memory is ours.
        unsafe {
            Task::init(job.cast(), ops);
            (*job).task.node.has(0);
            let parts: (Part, Part) = (Some(Box::new(run)), Some(Box::new(retire)));
            (&raw mut (*job).parts).write(RefCell::new(parts));
            (&raw mut (*job).discarded).write(Log::new());
            NonNull::new_unchecked(job.cast())
        }
    }

    /// A task whose code is in a module, which it uses until its end.
    pub fn of_module(
        module: *mut ffi::module,
        ops: Ops,
        run: impl FnOnce() + 'static,
    ) -> NonNull<Task> {
        Self::new(
            Box::leak(Box::new(Ops { module, ..ops })),
            move |_| {
                run();
                world::touch(module.addr());
            },
            |_| (),
        )
    }

    fn of(task: NonNull<Task>) -> &'static Self {
        world::touch(task.as_ptr().addr());
        // SAFETY: All tasks are in jobs, whose memory stays.
        unsafe { task.cast::<Self>().as_ref() }
    }

    unsafe fn run(task: NonNull<Task>, context: &TaskContext<'_>) {
        workqueue::may_wait();
        let part = Self::of(task).parts.borrow_mut().0.take();
        part.expect("run once, and not after it was discarded")(context);
    }

    unsafe fn retire(task: NonNull<Task>, context: &TaskContext<'_>) {
        workqueue::may_wait();
        let (first, second) = {
            let mut parts = Self::of(task).parts.borrow_mut();
            (parts.0.is_none(), parts.1.take())
        };
        assert!(first, "retired before it has run");
        second.expect("retired once")(context);
    }

    unsafe fn discard(task: NonNull<Task>) {
        let job = Self::of(task);
        job.parts
            .borrow_mut()
            .0
            .take()
            .expect("discarded once, and not after it was run");
        job.discarded.add(0);
    }

    pub fn submit(task: NonNull<Task>, domain: &AsyncDomain) -> Result<Cookie> {
        Self::submit_on(ffi::NUMA_NO_NODE, task, domain)
    }

    /// Submits a task for a node, or for none.
    pub fn submit_on(node: c_int, task: NonNull<Task>, domain: &AsyncDomain) -> Result<Cookie> {
        // SAFETY: The task is ours.
        unsafe { domain.submit_task(task, node, ptr::null()) }
    }
}

// --- Scenarios -----------------------------------------------------------------------------------

/// Two tokens finish in any order; two threads wait, one for the first and one for both.
pub fn frontier() {
    let domain = AsyncDomain::begin();
    let (first, second) = (Token::begin(domain), Token::begin(domain));
    let waiters = [first.cookie(), second.cookie()]
        .map(|cookie| sched::spawn(move || domain.wait_for_all_below(cookie.next(), FOREVER)));
    let other = sched::spawn(move || second.finish());

    first.finish();
    other.join();
    for waiter in waiters {
        assert_eq!(waiter.join(), Ok(()));
    }
    assert_eq!(domain.counts().spurious, 0);
    domain.end();
}

/// A task is run by a worker while its submitter waits: it sees what the task did.
pub fn run() {
    let domain = AsyncDomain::begin();
    let worker = sched::spawn(workqueue::run_one);
    let log = Log::new();
    let l = log.clone();
    let task = Job::new(&Job::TASK, move |_| l.add(1), |_| ());

    let cookie = Job::submit(task, domain).unwrap();
    assert_eq!(domain.wait_for_all_below(cookie.next(), FOREVER), Ok(()));
    assert_eq!(log.get(), [1]);
    domain.end();
    worker.join();
}

/// A task of a scope, which the opener waits for, and which is as good as gone then.
fn submit_into(
    scope: &ScopeData,
    domain: &AsyncDomain,
    run: impl FnOnce(&TaskContext<'_>) + 'static,
) {
    let node = ffi::NUMA_NO_NODE;
    let task = Job::new(&Job::TASK, run, |_| ());

    // SAFETY: The task is ours, and the scope is not left before it has finished.
    unsafe { domain.submit_task(task, node, scope) }.unwrap();
}

/// The last task of a scope leaves it while the opener goes.
pub fn scope() {
    let domain = AsyncDomain::begin();
    let worker = sched::spawn(workqueue::run_one);
    let log = Log::new();
    let l = log.clone();

    ScopeData::begin(domain, |scope| {
        submit_into(scope, domain, move |_| l.add(1))
    });
    assert_eq!(log.get(), [1]);
    worker.join();
    domain.end();
}

/// A scope in a task: its task is run by a worker or by the opener, and is inside of the opener's task
/// either way.
pub fn scope_nested() {
    let domain = AsyncDomain::begin();
    let log = Log::new();
    let l = log.clone();
    let opener = move |_: &TaskContext<'_>| {
        ScopeData::begin(domain, |scope| {
            submit_into(scope, domain, move |context| {
                assert_eq!(context.synchronize(), Err(EDEADLK));
                l.add(1);
            })
        });
    };
    let cookie = Job::submit(Job::new(&Job::TASK, opener, |_| ()), domain).unwrap();
    let workers = [(); 2].map(|()| sched::spawn(workqueue::serve));

    assert_eq!(domain.wait_for_all_below(cookie.next(), FOREVER), Ok(()));
    assert_eq!(log.get(), [1]);
    workqueue::stop();
    for worker in workers {
        worker.join();
    }
    domain.end();
}

/// A scope's task, which a worker runs or the opener, drops the domain of the opener's task, while that uses it.
pub fn scope_drops() {
    let (domain, other) = (AsyncDomain::begin(), AsyncDomain::begin());
    let log = Log::new();
    let l = log.clone();
    let opener = move |context: &TaskContext<'_>| {
        ScopeData::begin(other, |scope| {
            submit_into(scope, other, move |_| domain.end());
            let ret = context.synchronize();
            assert!(matches!(ret, Ok(()) | Err(ESHUTDOWN)));
        });
        assert_eq!(context.synchronize(), Err(ESHUTDOWN));
        l.add(1);
    };
    Job::submit(Job::new(&Job::TASK, opener, |_| ()), domain).unwrap();
    let workers = [(); 2].map(|()| sched::spawn(workqueue::serve));

    workqueue::stop();
    for worker in workers {
        worker.join();
    }
    assert_eq!(log.get(), [1]);
    other.end();
}

/// A domain ends while its last token is finished.
pub fn end() {
    let domain = AsyncDomain::begin();
    let token = Token::begin(domain);
    let other = sched::spawn(move || token.finish());

    domain.end();
    other.join();
}

/// A domain ends while somebody pins it, and its last token is finished.
pub fn pin() {
    let domain = AsyncDomain::begin();
    let token = Token::begin(domain);
    domain.pin();
    let other = sched::spawn(move || {
        assert_eq!(domain.wait_for_all_below(Cookie::IDLE, FOREVER), Ok(()));
        domain.unpin();
    });
    let finisher = sched::spawn(move || token.finish());

    domain.end();
    other.join();
    finisher.join();
}

/// Two ordered tasks, two workers: the in-order parts run in order, once, and see each other's work.
pub fn ordered() {
    let domain = AsyncDomain::begin();
    let log = Log::new();
    for i in 0..2 {
        let l = log.clone();
        let task = Job::new(&Job::ORDERED, |_| (), move |_| l.add(i));
        Job::submit(task, domain).unwrap();
    }
    let workers = [(); 2].map(|()| sched::spawn(workqueue::run_one));

    for worker in workers {
        worker.join();
    }
    workqueue::run_rest();
    assert_eq!(log.get(), [0, 1]);
    domain.end();
}

/// An ordered task becomes ready while the token before it is finished.
pub fn ordered_behind_token() {
    behind_token(1);
}

/// The same, with another one behind it, which is retired by the same worker.
pub fn ordered_both_behind_token() {
    behind_token(2);
}

fn behind_token(count: u32) {
    let domain = AsyncDomain::begin();
    let token = Token::begin(domain);
    let log = Log::new();
    for i in 0..count {
        let l = log.clone();
        let task = Job::new(&Job::ORDERED, |_| (), move |_| l.add(i));
        Job::submit(task, domain).unwrap();
    }
    let worker = sched::spawn(workqueue::run_one);

    token.finish();
    worker.join();
    workqueue::run_rest();
    assert!(log.get().into_iter().eq(0..count));
    domain.end();
}

/// A task drops its domain while the ordered one before it, given away to be retired, waits for a worker or
/// has one: it is retired once.
pub fn ordered_before_detached() {
    let domain = AsyncDomain::begin();
    let token = Token::begin(domain);
    let log = Log::new();
    let l = log.clone();
    let task = Job::new(&Job::ORDERED, |_| (), move |_| l.add(1));
    Job::submit(task, domain).unwrap();
    workqueue::run_one();
    let task = Job::new(&Job::TASK, move |_| domain.end(), |_| ());
    Job::submit(task, domain).unwrap();
    token.finish();
    let workers = [(); 2].map(|()| sched::spawn(workqueue::run_one));

    for worker in workers {
        worker.join();
    }
    workqueue::run_rest();
    assert_eq!(log.get(), [1]);
}

/// A task in the caller's memory ends that memory while it runs.
pub fn item() {
    let domain = AsyncDomain::begin();
    let log = Log::new();
    let l = log.clone();
    let address = Rc::new(std::cell::Cell::new(0));
    let a = address.clone();
    let task = Job::new(
        &Job::ITEM,
        move |_| {
            world::memory_ends(a.get());
            l.add(1);
        },
        |_| (),
    );
    address.set(task.as_ptr().addr());
    // SAFETY: The task is valid.
    assert!(unsafe { Task::claim(task) });
    let cookie = Job::submit(task, domain).unwrap();
    let worker = sched::spawn(workqueue::run_one);

    assert_eq!(domain.wait_for_all_below(cookie.next(), FOREVER), Ok(()));
    assert_eq!(log.get(), [1]);
    domain.end();
    worker.join();
}

/// A task in the caller's memory is submitted again while a worker begins with it: either it is still
/// queued, or it is claimed, and all that the worker has done to it is over.
pub fn item_again() {
    let (domain, task, log) = queued_item();
    let worker = sched::spawn(workqueue::run_one);

    let again = submit_again(domain, task, &log);
    worker.join();
    workqueue::run_rest();
    assert_eq!(log.get().len(), if again { 2 } else { 1 });
    domain.end();
    world::memory_ends(task.as_ptr().addr());
}

/// The same, while somebody cancels it.
pub fn item_again_cancelled() {
    let (domain, task, log) = queued_item();
    // SAFETY: The task is valid, and submitted.
    let cookie = unsafe { Node::cookie_of(task.as_ptr().cast()) };
    let other = sched::spawn(move || assert_eq!(domain.cancel(cookie), Cancelled::Dropped));

    let again = submit_again(domain, task, &log);
    other.join();
    workqueue::run_rest();
    assert_eq!(log.get().len(), usize::from(again));
    domain.end();
    world::memory_ends(task.as_ptr().addr());
}

fn queued_item() -> (&'static AsyncDomain, NonNull<Task>, Log) {
    let domain = AsyncDomain::begin();
    let log = Log::new();
    let l = log.clone();
    let task = Job::new(&Job::ITEM, move |_| l.add(1), |_| ());
    // SAFETY: The task is valid.
    assert!(unsafe { Task::claim(task) });
    Job::submit(task, domain).unwrap();
    (domain, task, log)
}

/// Submits an item unless it is queued.
fn submit_again(domain: &'static AsyncDomain, task: NonNull<Task>, log: &Log) -> bool {
    // SAFETY: The task is valid.
    if !unsafe { Task::claim(task) } {
        return false;
    }
    let l = log.clone();
    Job::of(task).parts.borrow_mut().0 = Some(Box::new(move |_| l.add(2)));
    Job::submit(task, domain).unwrap();
    true
}

/// A task is cancelled while a worker begins with it: it runs, or is dropped.
pub fn cancel() {
    let domain = AsyncDomain::begin();
    let ran = Log::new();
    let r = ran.clone();
    let task = Job::new(&Job::TASK, move |_| r.add(1), |_| ());
    let d = Job::of(task).discarded.clone();
    let cookie = Job::submit(task, domain).unwrap();
    let worker = sched::spawn(workqueue::run_rest);

    let cancelled = domain.cancel(cookie) == Cancelled::Dropped;
    assert_eq!(domain.wait_for_all_below(cookie.next(), FOREVER), Ok(()));
    assert_eq!(
        (ran.get().len(), d.get().len()),
        if cancelled { (0, 1) } else { (1, 0) }
    );
    domain.end();
    worker.join();
}
