// SPDX-License-Identifier: GPL-2.0

//! What exists in one execution: memory that comes and goes, threads, and loom's objects behind the
//! kernel's.

use super::{
    sched::Thread,
    workqueue::Works, //
};
use loom::{
    cell::UnsafeCell,
    sync::{
        atomic::{
            AtomicU64,
            AtomicUsize, //
        },
        Mutex,
        MutexGuard, //
    },
};
use std::{
    alloc::{
        self,
        Layout, //
    },
    cell::{
        Cell,
        RefCell, //
    },
    collections::HashMap,
    rc::Rc, //
};

/// Memory that ends: a frame, a future, a task, a domain. Using it and its end must not be concurrent,
/// which loom sees by the cell.
struct Memory {
    start: usize,
    len: usize,
    what: &'static str,
    /// The number of the thread whose frame it is in.
    frame_of: Option<usize>,
    ended: bool,
    uses: Rc<UnsafeCell<()>>,
    /// Gives the memory back, when nobody can use it any more even by mistake.
    _keep: Option<Raw>,
}

/// Memory from the allocator.
struct Raw {
    start: *mut u8,
    layout: Layout,
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: It was allocated with this layout.
        unsafe { alloc::dealloc(self.start, self.layout) };
    }
}

/// The pointers of a `struct list_head` in a wait entry, as threads see them that have no lock.
pub struct Links {
    pub next: AtomicUsize,
    pub prev: AtomicUsize,
    /// What is the case, whoever knows it.
    pub linked: Cell<bool>,
}

/// The lock of a `struct wait_queue_head`.
pub struct Lock {
    pub mutex: Mutex<()>,
    pub guard: RefCell<Option<MutexGuard<'static, ()>>>,
    pub holder: Cell<Option<usize>>,
}

struct World {
    execution: u64,
    memory: Vec<Memory>,
    atomics: Vec<Rc<AtomicU64>>,
    /// For what is static, or in a frame.
    statics: Vec<Rc<AtomicU64>>,
    links: HashMap<usize, Rc<Links>>,
    locks: HashMap<usize, Rc<Lock>>,
    threads: Vec<Rc<Thread>>,
    works: Rc<Works>,
}

/// How many atomics that are static, or in frames, a scenario uses at most: mostly slots of running
/// tasks, of which a thread that looks for its own tries 16.
const STATICS: usize = 96;

thread_local! {
    static EXECUTIONS: Cell<u64> = const { Cell::new(0) };
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(|world| f(world.as_mut().expect("an execution")))
}

/// An execution begins. The calling thread is number 0.
pub fn begin() {
    let execution = EXECUTIONS.get() + 1;
    EXECUTIONS.set(execution);
    let world = World {
        execution,
        memory: Vec::new(),
        atomics: Vec::new(),
        statics: (0..STATICS).map(|_| Rc::default()).collect(),
        links: HashMap::new(),
        locks: HashMap::new(),
        threads: Vec::new(),
        works: Rc::new(Works::new()),
    };
    WORLD.set(Some(world));
    super::ffi::new_static_locks();
    super::sched::adopt(add_thread());
}

/// An execution ends. All memory must have ended before, and so be unused.
pub fn end() {
    let world = WORLD.take().expect("an execution");
    for memory in &world.memory {
        assert!(memory.ended, "{} was leaked", memory.what);
    }
}

/// Memory begins at an address at which there was none, or none any more.
fn memory_begins(
    start: usize,
    len: usize,
    what: &'static str,
    frame_of: Option<usize>,
    keep: Option<Raw>,
) {
    with(|world| {
        world
            .memory
            .retain(|memory| start + len <= memory.start || memory.start + memory.len <= start);
        world.memory.push(Memory {
            start,
            len,
            what,
            frame_of,
            ended: false,
            uses: Rc::new(UnsafeCell::new(())),
            _keep: keep,
        });
    });
}

/// Memory for a `T` begins.
pub fn allocate<T>(what: &'static str) -> *mut T {
    let layout = Layout::new::<T>();
    assert!(layout.size() > 0);
    // SAFETY: Its size is not zero.
    let start = unsafe { alloc::alloc(layout) };
    assert!(!start.is_null());

    memory_begins(
        start.addr(),
        layout.size(),
        what,
        None,
        Some(Raw { start, layout }),
    );
    start.cast()
}

/// A wait entry begins; it is in a frame of the calling thread, unless it is in memory that was
/// allocated.
pub fn entry_begins(start: usize, len: usize) {
    if !is_memory(start) {
        let thread = super::sched::current();
        memory_begins(start, len, "a frame with a wait entry", Some(thread), None);
    }
}

/// Memory ends: nobody may use it any more, nor be about to.
pub fn memory_ends(start: usize) {
    let uses = with(|world| {
        let memory = world.memory.iter_mut().find(|memory| memory.start == start);
        let memory = memory.expect("memory at this address");
        let (start, len) = (memory.start, memory.len);

        assert!(!memory.ended, "{} was freed twice", memory.what);
        memory.ended = true;
        let here = start..start + len;
        world.links.retain(|address, links| {
            let ends = here.contains(address);
            assert!(
                !ends || !links.linked.get(),
                "{} ended while its wait entry was linked",
                memory.what
            );
            !ends
        });
        world.locks.retain(|address, _| !here.contains(address));
        memory.uses.clone()
    });
    uses.with_mut(|_| ());
}

/// Something in memory is used; what is not known to be memory lives as long as the execution.
pub fn touch(address: usize) {
    let uses = with(|world| {
        let memory = world
            .memory
            .iter()
            .find(|memory| (memory.start..memory.start + memory.len).contains(&address))?;
        assert!(!memory.ended, "{} was used after its end", memory.what);
        Some(memory.uses.clone())
    });
    if let Some(uses) = uses {
        uses.with(|_| ());
    }
}

/// Whether the address is in memory that is known.
fn is_memory(address: usize) -> bool {
    with(|world| {
        world.memory.iter().any(|memory| {
            !memory.ended && (memory.start..memory.start + memory.len).contains(&address)
        })
    })
}

/// The frame of a function of this thread is left.
pub fn frame_ends(thread: usize) {
    let frames = with(|world| {
        let mine = |memory: &&Memory| memory.frame_of == Some(thread) && !memory.ended;
        let frames = world.memory.iter().filter(mine);
        frames.map(|memory| memory.start).collect::<Vec<_>>()
    });
    for frame in frames {
        memory_ends(frame);
    }
}

/// Loom's atomic for one of ours, which is 0 when it is used for the first time.
pub fn atomic(place: &Cell<(u64, usize)>, address: usize) -> Rc<AtomicU64> {
    let is_static = !is_memory(address);
    with(|world| {
        if place.get().0 != world.execution {
            let atomic = if is_static {
                world.statics.pop().expect("STATICS is too low")
            } else {
                Rc::new(AtomicU64::new(0))
            };
            world.atomics.push(atomic);
            place.set((world.execution, world.atomics.len() - 1));
        }
        world.atomics[place.get().1].clone()
    })
}

/// The links of a list head; `None` if it is not that of a wait entry which has been linked.
pub fn links(address: usize) -> Option<Rc<Links>> {
    with(|world| world.links.get(&address).cloned())
}

pub fn new_links(address: usize) -> Rc<Links> {
    let links = Rc::new(Links {
        next: AtomicUsize::new(0),
        prev: AtomicUsize::new(0),
        linked: Cell::new(true),
    });
    with(|world| world.links.insert(address, links.clone()));
    links
}

pub fn new_lock(address: usize) {
    let lock = Rc::new(Lock {
        mutex: Mutex::new(()),
        guard: RefCell::new(None),
        holder: Cell::new(None),
    });
    with(|world| world.locks.insert(address, lock));
}

pub fn lock(address: usize) -> Rc<Lock> {
    with(|world| world.locks.get(&address).cloned()).expect("the lock of a wait queue")
}

/// Whether a thread holds the lock of some wait queue.
pub fn holds_a_lock(thread: usize) -> bool {
    with(|world| {
        world.locks.iter().any(|(&address, lock)| {
            !super::ffi::is_registry_lock(address) && lock.holder.get() == Some(thread)
        })
    })
}

pub fn add_thread() -> usize {
    with(|world| {
        world.threads.push(Rc::new(Thread::new()));
        world.threads.len() - 1
    })
}

pub fn thread(number: usize) -> Rc<Thread> {
    with(|world| world.threads[number].clone())
}

pub fn works() -> Rc<Works> {
    with(|world| world.works.clone())
}
