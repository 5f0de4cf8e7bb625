// SPDX-License-Identifier: GPL-2.0

//! What a domain looks like at a moment, for who looks on.
//!
//! A [`Snapshot`] is a copy, taken under the domain's lock, of at most so much as there was room for
//! before. It holds numbers and addresses only, so that it does not matter what becomes of the domain, its
//! tasks and their modules while it is printed: nothing in it is followed, and an address is at most
//! looked up among the kernel's symbols.
//!
//! The domain is found in the registry, with whose lock held its own is taken, as by
//! [`synchronize_all`](crate::synchronize_all). So it needs no reference, which a domain does not have.

use crate::{
    domain::core::{
        cookie::{
            AllBelow,
            Cookie, //
        },
        domain::{
            AsyncDomain,
            State, //
        },
        future_header::{
            spawned_of,
            Doing,
            Spawned, //
        },
        header::{
            task_of,
            token_of,
            AnyToken,
            Holds,
            StackNode,
            Task, //
        },
        name::Name,
        pending::{
            flag,
            Node,
            NodeRef, //
        },
        registry, //
    },
    ffi,
    wait::{
        AtLeast,
        Counts,
        Locked,
        Waiter, //
    }, //
};
use core::ptr;
use kernel::{
    alloc::Flags,
    prelude::*,
    str::BStr, //
};

/// The text in an array that is filled up with zeroes.
fn text(bytes: &[u8]) -> &BStr {
    BStr::from_bytes(bytes.split(|&byte| byte == 0).next().unwrap_or(bytes))
}

/// What becomes of a task just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No worker has begun with it.
    Queued,
    /// It runs, or, if it is ordered, its parallel part.
    Running,
    /// A spawned future that awaits something.
    Awaiting,
    /// The parallel part is done, and the in-order part waits for the frontier.
    Ready,
    /// Its in-order part runs, or is about to.
    Retiring,
    /// It has been cancelled, and what it owns is being dropped.
    Cancelled,
    /// There is no function: somebody has to finish the token.
    Token,
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Awaiting => "awaiting",
            Self::Ready => "ready",
            Self::Retiring => "retiring",
            Self::Cancelled => "cancelled",
            Self::Token => "token",
        }
    }
}

/// An address of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Unknown,
    /// The function that runs, or is going to, or stands for the type of a token's item.
    Function(usize),
    /// The place at which a token was begun.
    Inside(usize),
}

/// An unfinished task or token.
pub(crate) struct TaskView {
    pub(crate) cookie: Cookie,
    pub(crate) stage: Stage,
    /// Milliseconds since it was submitted.
    pub(crate) age: u32,
    /// The thread that runs it.
    pub(crate) worker: Option<c_int>,
    pub(crate) code: Code,
    /// The thread that waits for it at the end of a scope.
    pub(crate) scope: Option<c_int>,
    /// It has been asked to stop.
    pub(crate) stopped: bool,
}

impl TaskView {
    /// Looks at what a node is in, which must be in the order of a domain, whose lock is held.
    fn of(node: NodeRef<'_>, now: u32) -> Self {
        let age = now.wrapping_sub(node.since());
        let mut this = Self {
            cookie: node.cookie(),
            stage: Stage::Token,
            // CAST: It gets wider.
            age: ffi::jiffies_to_msecs(age as c_ulong),
            worker: None,
            code: Code::Unknown,
            scope: None,
            stopped: node.is_stopped(),
        };

        if let Some(task) = task_of(node) {
            this.task(&node, &task);
        } else if let Some(spawned) = spawned_of(node) {
            this.spawned(&spawned);
        } else if let Some(stack_node) = StackNode::of(node) {
            this.stack_node(&node, stack_node);
        } else {
            this.code = match token_of(node) {
                AnyToken::Item(task) => Code::Function(task.ops.run as usize),
                AnyToken::Own(token) => Code::Inside(token.begun_at),
            };
        }
        this
    }

    // Tested by: kunit scopes_futures_and_cancelled_tasks_are_seen, test debugfs.
    fn task(&mut self, flags: &Node, task: &Task) {
        self.code = Code::Function(task.ops.run as usize);
        self.worker = task.worker.get();
        self.stage = if flags.has(flag::QUEUED) {
            Stage::Queued
        } else if flags.has(flag::READY) {
            // What it still has to run.
            if let Some(retire) = task.ops.retire {
                self.code = Code::Function(retire as usize);
            }
            if flags.has(flag::RETIRING) {
                Stage::Retiring
            } else {
                Stage::Ready
            }
        } else if self.worker.is_some() {
            Stage::Running
        } else if flags.has(flag::DEQUEUED) {
            Stage::Cancelled
        } else {
            // By a worker that has yet to say who it is.
            Stage::Running
        };
        if let Holds::Scope(scope, _) = task.holds {
            // SAFETY: The task has yet to leave the scope's frame.
            self.scope = Some(unsafe { (*scope).pid });
        }
    }

    fn spawned(&mut self, spawned: &Spawned) {
        self.code = Code::Function(spawned.code());
        (self.stage, self.worker) = match spawned.doing() {
            Doing::Awaiting => (Stage::Awaiting, None),
            Doing::Queued => (Stage::Queued, None),
            Doing::Running(worker) => (Stage::Running, worker),
        };
    }

    fn stack_node(&mut self, flags: &Node, stack_node: &StackNode) {
        self.worker = Some(stack_node.pid);
        self.stage = if flags.has(flag::DEQUEUED) {
            Stage::Cancelled
        } else {
            Stage::Running
        };
        if let Some(ops) = stack_node.ops.get() {
            self.code = Code::Function(ops.run as usize);
        }
    }
}

/// Somebody who waits in a domain's queue.
pub(crate) struct WaiterView {
    /// All tasks below this one are waited for.
    pub(crate) below: Cookie,
    pub(crate) who: Who,
}

pub(crate) enum Who {
    Thread {
        pid: c_int,
        comm: [u8; ffi::TASK_COMM_LEN as usize],
    },
    /// A future, and the spawned one that it is a part of, if it is known.
    Future(Option<Cookie>),
}

impl Who {
    // Tested by: kunit stages_before_a_worker_comes, kunit stages_of_an_ordered_task.
    fn of(waiter: Waiter<'_>) -> Self {
        match waiter {
            Waiter::Thread(thread) => {
                let mut comm = [0; ffi::TASK_COMM_LEN as usize];

                // SAFETY: The thread is valid while the lock is held, under which we look at its entry.
                let pid = unsafe {
                    ffi::get_task_comm(&raw mut comm, thread);
                    (*thread).pid
                };
                Self::Thread { pid, comm }
            }
            Waiter::Future(waker) => Self::Future(Spawned::woken_by(waker)),
        }
    }

    /// The name of a thread.
    pub(crate) fn name(&self) -> &BStr {
        match self {
            Self::Thread { comm, .. } => text(comm),
            Self::Future(_) => BStr::from_bytes(b"(future)"),
        }
    }
}

/// What a domain looked like.
pub(crate) struct Snapshot {
    pub(crate) number: u64,
    /// What stands for the domain in tracepoints.
    pub(crate) id: *const c_void,
    name: [u8; Name::LENGTH + 1],
    module: [u8; MODULE_NAME],
    /// That module, which may be gone: only compared.
    pub(crate) owner: *mut ffi::module,
    pub(crate) exclusive: bool,
    pub(crate) closed: bool,
    pub(crate) pinned: bool,
    pub(crate) of_device: bool,
    pub(crate) frontier: Option<Cookie>,
    pub(crate) unfinished: usize,
    pub(crate) queued: usize,
    pub(crate) limit: usize,
    pub(crate) submitted: u64,
    pub(crate) counts: Counts,
    /// The tasks with the lowest cookies.
    pub(crate) tasks: KVVec<TaskView>,
    /// Those who wait for the lowest cookies, and how many there are.
    pub(crate) waiters: KVVec<WaiterView>,
    pub(crate) waiting: usize,
}

// SAFETY: The addresses are not followed.
// Tested by: nothing.
unsafe impl Send for Snapshot {}

const MODULE_NAME: usize = 64;

impl Snapshot {
    /// Makes room for so many tasks, and as many waiters.
    pub(crate) fn with_room(room: usize, flags: Flags) -> Result<Self> {
        Ok(Self {
            number: 0,
            id: ptr::null(),
            name: [0; Name::LENGTH + 1],
            module: [0; MODULE_NAME],
            owner: ptr::null_mut(),
            exclusive: false,
            closed: false,
            pinned: false,
            of_device: false,
            frontier: None,
            unfinished: 0,
            queued: 0,
            limit: 0,
            submitted: 0,
            counts: Counts::default(),
            tasks: KVVec::with_capacity(room, flags)?,
            waiters: KVVec::with_capacity(room, flags)?,
            waiting: 0,
        })
    }

    /// Looks at the registered domain that has the lowest number from this one on; returns its number.
    pub(crate) fn take(&mut self, from: u64) -> Option<u64> {
        registry::with_next(from, |number, domain| {
            self.number = number;
            self.look_at(domain);
            number
        })
    }

    /// The registry's lock must be held, so that the domain's owner is there.
    // Tested by: test debugfs.
    pub(crate) fn look_at(&mut self, domain: &AsyncDomain) {
        self.owner = domain.owner();
        self.id = domain.queue.id();
        self.name = *domain.name.bytes();
        self.exclusive = domain.exclusive;
        self.of_device = !domain.device.is_null();
        self.module = [0; MODULE_NAME];
        // SAFETY: The owner is valid: a module that goes takes its domains out of the registry before.
        let module = unsafe { CStr::from_char_ptr(ffi::module_name(domain.owner())) };
        for (to, from) in self.module.iter_mut().zip(module.to_bytes()) {
            *to = *from;
        }
        domain.queue.with(|state| self.look_inside(state));
    }

    // Tested by: kunit what_there_is_no_room_for_is_counted.
    fn look_inside(&mut self, state: &Locked<'_, State, AllBelow>) {
        self.closed = state.closed;
        self.pinned = state.pins > 0;
        self.frontier = state.pending.lowest();
        self.unfinished = state.unfinished;
        self.queued = state.pending.queued();
        self.limit = state.limit;
        self.submitted = state.submitted;
        self.counts = state.counts();

        let now = ffi::ticks();
        self.tasks.clear();
        for node in state.pending.iter() {
            if self
                .tasks
                .push_within_capacity(TaskView::of(node, now))
                .is_err()
            {
                break;
            }
        }

        self.waiters.clear();
        self.waiting = 0;
        state.for_each_waiter(|&AtLeast(below), waiter| {
            self.waiting += 1;
            if self.waiters.len() < self.waiters.capacity() {
                let who = Who::of(waiter);
                // There is room.
                let _ = self.waiters.push_within_capacity(WaiterView { below, who });
            }
        });
    }

    pub(crate) fn name(&self) -> &BStr {
        text(&self.name)
    }

    /// The name of the module that made the domain.
    pub(crate) fn module(&self) -> &BStr {
        text(&self.module)
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_inspect)]
mod tests {
    use super::*;
    use crate::{
        impl_has_task,
        kunit::{
            self,
            eventually,
            Gate,
            Thread, //
        },
        Cancelled,
        OwnedDomain,
        Submit,
        TaskContext,
        TaskHeader,
        TaskItem, //
    };
    use kernel::{
        sync::{
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc, //
        },
        types::ScopeGuard, //
    };

    fn domain() -> Result<Arc<OwnedDomain>> {
        let domain = crate::new_async_domain!("kunit inspect", GFP_KERNEL)?;

        Ok(Arc::new(domain, GFP_KERNEL)?)
    }

    /// What the domain looks like.
    fn look(domain: &AsyncDomain, room: usize) -> Result<Snapshot> {
        let mut snapshot = Snapshot::with_room(room, GFP_KERNEL)?;

        snapshot.look_at(domain);
        Ok(snapshot)
    }

    fn task(domain: &AsyncDomain, cookie: Cookie) -> Result<TaskView> {
        let tasks = look(domain, 64)?.tasks;

        tasks.into_iter().find(|t| t.cookie == cookie).ok_or(ENOENT)
    }

    fn stage(domain: &AsyncDomain, cookie: Cookie) -> Option<Stage> {
        task(domain, cookie).ok().map(|task| task.stage)
    }

    fn pid() -> Option<c_int> {
        Some(ffi::current_pid())
    }

    /// An item that stays at a gate.
    #[pin_data]
    struct Stays {
        gate: Gate,
        #[pin]
        task: TaskHeader<Self>,
    }

    impl_has_task! {
        impl HasTask<Self> for Stays { self.task }
    }

    impl Stays {
        fn new(gate: &Gate) -> Result<Arc<Self>> {
            let gate = gate.clone();
            Arc::pin_init(
                pin_init!(Self { gate, task <- TaskHeader::new() }),
                GFP_KERNEL,
            )
        }

        /// Where the code of the item is.
        fn code(&self) -> Code {
            // SAFETY: The item is valid.
            let task = unsafe { crate::domain::submit::item::header::<Self, 0>(self) };
            // SAFETY: As above.
            Code::Function(unsafe { task.as_ref() }.ops.run as usize)
        }
    }

    impl TaskItem for Stays {
        type Pointer = Arc<Self>;

        fn run(this: Arc<Self>, _context: &TaskContext<'_>) {
            this.gate.wait();
        }
    }

    #[test]
    fn stages_before_a_worker_comes() -> Result {
        let (domain, gate) = (domain()?, Gate::new()?);

        kunit::with_full_queue(|| {
            let first = domain.schedule(GFP_KERNEL, |_| ())?;
            let placed = domain.on_node(0)?.schedule(GFP_KERNEL, |_| ())?;
            let token = domain.begin(GFP_KERNEL)?;
            let item = Stays::new(&gate)?;
            let (other, queued) = (Stays::new(&gate)?, domain.submit(item.clone())?);
            let item_token = domain.begin_item(other.clone())?;

            let snapshot = look(&domain, 64)?;
            let stages = snapshot.tasks.iter().map(|t| (t.cookie, t.stage));
            let expected = [
                (first, Stage::Queued),
                (placed, Stage::Queued),
                (token.cookie(), Stage::Token),
                (queued, Stage::Queued),
                (item_token.cookie(), Stage::Token),
            ];
            assert!(stages.eq(expected));
            assert!(snapshot.tasks.iter().all(|task| task.worker.is_none()));
            assert_eq!((snapshot.frontier, snapshot.queued), (Some(first), 3));
            assert_eq!(task(&domain, queued)?.code, item.code());
            assert_eq!(task(&domain, item_token.cookie())?.code, other.code());
            assert!(matches!(
                task(&domain, token.cookie())?.code,
                Code::Inside(address) if address != 0
            ));
            Ok(())
        })?;
        gate.open();
        domain.synchronize(..)
    }

    #[test]
    fn stages_of_an_ordered_task() -> Result {
        let (domain, gates) = (domain()?, [Gate::new()?, Gate::new()?]);
        let token = domain.begin(GFP_KERNEL)?;
        let (work, retire) = (gates[0].clone(), gates[1].clone());
        let cookie = domain.schedule_ordered(
            GFP_KERNEL,
            move |_| {
                work.wait();
                pid()
            },
            move |worked_by, _| {
                retire.wait();
                assert!(worked_by.is_some());
            },
        )?;

        assert!(eventually(
            || task(&domain, cookie).is_ok_and(|t| t.worker.is_some())
        ));
        let working = task(&domain, cookie)?;
        assert_eq!(working.stage, Stage::Running);
        gates[0].open();
        assert!(eventually(|| stage(&domain, cookie) == Some(Stage::Ready)));
        let ready = task(&domain, cookie)?;
        assert_eq!(ready.worker, None);
        assert!(ready.code != working.code);
        token.finish();
        assert!(eventually(
            || task(&domain, cookie).is_ok_and(|t| t.worker.is_some())
        ));
        assert_eq!(stage(&domain, cookie), Some(Stage::Retiring));
        gates[1].open();
        domain.synchronize(..)
    }

    #[test]
    fn who_runs_a_task_is_seen() -> Result {
        let (domain, gate) = (domain()?, Gate::new()?);
        let (g, item) = (gate.clone(), Stays::new(&gate)?);
        let d = domain.clone();
        let closure = domain.schedule_with_handle(GFP_KERNEL, move |context| {
            let seen = task(&d, context.cookie()).map(|t| (t.stage, t.worker));
            g.wait();
            (seen, pid())
        })?;
        let in_items_memory = domain.submit(item.clone())?;

        // The item has no place of its own any more.
        assert!(eventually(
            || stage(&domain, in_items_memory) == Some(Stage::Running)
        ));
        let seen = task(&domain, in_items_memory)?;
        assert_eq!(seen.code, item.code());
        assert!(seen.worker.is_some() && seen.worker != pid());
        gate.open();
        let (seen, worker) = closure.join()?;
        assert_eq!(seen, Ok((Stage::Running, worker)));
        domain.synchronize(..)?;

        // In the caller's context: there is no memory, and no function that could be named.
        domain.set_limit(0);
        let d = domain.clone();
        let here = Arc::new(Atomic::<bool>::new(false), GFP_KERNEL)?;
        let h = here.clone();
        let _ = domain.schedule_or_run(GFP_KERNEL, move |context| {
            let seen = task(&d, context.cookie()).map(|t| (t.stage, t.worker, t.code));
            h.store(seen == Ok((Stage::Running, pid(), Code::Unknown)), Relaxed);
        });
        assert!(here.load(Relaxed));
        Ok(())
    }

    #[test]
    fn scopes_futures_and_cancelled_tasks_are_seen() -> Result {
        let (domain, gate) = (domain()?, Gate::new()?);
        let token = domain.begin(GFP_KERNEL)?;

        domain.scope(|scope| -> Result {
            let cookie = scope.schedule(GFP_KERNEL, |_| gate.wait())?;
            assert_eq!(task(&domain, cookie)?.scope, pid());
            gate.open();
            Ok(())
        })?;

        let (d, cookie) = (domain.clone(), token.cookie());
        let future = domain.spawn(GFP_KERNEL, async move {
            let _ = d.synchronize_async(GFP_KERNEL, ..=cookie).await;
        })?;
        assert!(eventually(
            || stage(&domain, future) == Some(Stage::Awaiting)
        ));
        let waiters = look(&domain, 64)?.waiters;
        assert_eq!((waiters.len(), waiters[0].below), (1, cookie.next()));
        assert!(matches!(waiters[0].who, Who::Future(Some(c)) if c == future));

        // One whose destructor takes its time, in the thread that cancels.
        let gate = Gate::new()?;
        let canceller = kunit::with_full_queue(|| {
            let g = gate.clone();
            let slow = ScopeGuard::new(move || g.wait());
            let cancelled = domain.schedule(GFP_KERNEL, move |_| drop(slow))?;
            let d = domain.clone();
            let canceller = Thread::spawn(move || d.cancel(cancelled))?;

            assert!(eventually(
                || stage(&domain, cancelled) == Some(Stage::Cancelled)
            ));
            assert!(task(&domain, cancelled)?.stopped);
            Ok(canceller)
        })?;
        gate.open();
        assert_eq!(canceller.join(), Cancelled::Dropped);
        token.finish();
        domain.synchronize(..)
    }

    #[test]
    fn waiters_are_seen_in_order() -> Result {
        let domain = domain()?;
        let (first, second) = (domain.begin(GFP_KERNEL)?, domain.begin(GFP_KERNEL)?);
        let cookies = [first.cookie().next(), Cookie::IDLE];
        let mut waiters = KVec::new();

        for i in 0..2 {
            let d = domain.clone();
            let waiter = Thread::spawn(move || match i {
                0 => (pid(), d.synchronize(..)),
                _ => (pid(), d.synchronize(..cookies[0])),
            })?;
            waiters.push(waiter, GFP_KERNEL)?;
        }
        assert!(eventually(|| domain.stats().waits == 2));

        let seen = look(&domain, 64)?;
        assert!(seen.waiters.iter().map(|w| w.below).eq(cookies));
        assert!(seen
            .waiters
            .iter()
            .all(|w| &**w.who.name() == b"async_domain_ku"));
        drop((first, second));
        let mut pids = seen.waiters.iter().map(|w| match w.who {
            Who::Thread { pid, .. } => Some(pid),
            Who::Future(_) => None,
        });
        // Who came first waits for all, and stands last.
        let (last, first) = (pids.next().flatten(), pids.next().flatten());
        for (waiter, pid) in waiters.into_iter().zip([first, last]) {
            assert_eq!(waiter.join(), (pid, Ok(())));
        }
        Ok(())
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() -> Result {
        let domain = domain()?;
        let mut tokens = KVec::new();
        let mut waiters = KVec::new();
        for _ in 0..7 {
            tokens.push(domain.begin(GFP_KERNEL)?, GFP_KERNEL)?;
        }
        for _ in 0..5 {
            let d = domain.clone();
            waiters.push(Thread::spawn(move || d.synchronize(..))?, GFP_KERNEL)?;
        }
        assert!(eventually(|| domain.stats().waits == 5));

        let seen = look(&domain, 3)?;
        let lowest = tokens.iter().map(|token| token.cookie()).take(3);
        // (An allocation may be larger than what was asked for.)
        assert!(seen.tasks.iter().map(|task| task.cookie).take(3).eq(lowest));
        assert!(seen.tasks.len() < 7 && seen.tasks.len() == seen.tasks.capacity());
        assert_eq!((seen.unfinished, seen.waiting), (7, 5));
        assert!(seen.waiters.len() < 5 && seen.waiters.len() == seen.waiters.capacity());

        tokens.truncate(2);
        let seen = look(&domain, 3)?;
        assert_eq!((seen.tasks.len(), seen.unfinished), (2, 2));
        drop(tokens);
        for waiter in waiters {
            waiter.join()?;
        }
        Ok(())
    }

    #[test]
    fn domains_are_found_by_number_while_they_are_there() -> Result {
        let mut snapshot = Snapshot::with_room(0, GFP_KERNEL)?;
        // The number of the domain with this limit.
        let number = |snapshot: &mut Snapshot, limit: usize| {
            let mut next = snapshot.take(1);

            while let Some(number) = next {
                if snapshot.limit == limit {
                    return next;
                }
                next = snapshot.take(number + 1);
            }
            None
        };
        let domain = domain()?;
        domain.set_limit(4711);
        let other = Arc::new(crate::new_async_domain!("other", GFP_KERNEL)?, GFP_KERNEL)?;
        other.set_limit(4712);

        let found = number(&mut snapshot, 4711);
        assert!(found.is_some());
        assert_eq!(&**snapshot.name(), b"kunit inspect");
        // SAFETY: The name is valid for as long as the module is.
        let module = unsafe { CStr::from_char_ptr(ffi::module_name(ffi::this_module())) };
        assert_eq!(&**snapshot.module(), module.to_bytes());
        assert!(number(&mut snapshot, 4712) > found);
        drop(domain);
        assert_eq!(number(&mut snapshot, 4711), None);
        assert!(snapshot.take(found.unwrap_or(0)) > found);
        Ok(())
    }

    #[test]
    fn the_end_of_a_long_name_is_kept() {
        let name = Name::new(c"drivers/of/somebody/whose/names/are/rather/long/driver.rs:123");

        assert_eq!(
            &**text(name.bytes()),
            b"ebody/whose/names/are/rather/long/driver.rs:123".as_slice()
        );
        assert_eq!(&**text(Name::new(c"short").bytes()), b"short");
    }
}
