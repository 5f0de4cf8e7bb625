// SPDX-License-Identifier: GPL-2.0

//! Helpers of the test suites: domains, threads that can be watched, gates, and waits with a limit.

use crate::{
    ffi,
    queue,
    OwnedDomain,
    Submit, //
};
use core::cell::UnsafeCell;
use kernel::{
    error::from_err_ptr,
    impl_has_hr_timer,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc,
        ArcBorrow,
        Completion, //
    },
    task::Task,
    time::{
        delay::fsleep,
        hrtimer::{
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart,
            RelativeHardMode, //
        },
        Delta,
        Monotonic, //
    },
    types::ScopeGuard, //
};

/// How many errors of tasks were only logged.
pub(crate) static UNSEEN_ERRORS: Atomic<i32> = Atomic::new(0);

/// Waits until the condition is true; `false` if it was not after a minute, which is much on a loaded host, too.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..60_000 {
        if condition() {
            return true;
        }
        fsleep(Delta::from_millis(1));
    }
    condition()
}

/// Gives wrong things time to happen.
pub(crate) fn settle() {
    fsleep(Delta::from_millis(20));
}

/// Relaxes a loop that spins for another thread. Some kernels have one CPU, and never preempt.
// Tested by: nothing: The suites themselves.
pub(crate) fn relax() {
    core::hint::spin_loop();
    ffi::cond_resched();
}

/// A domain that tasks can refer to.
pub(crate) fn domain() -> Result<Arc<OwnedDomain>> {
    let domain = crate::new_async_domain!("kunit", GFP_KERNEL)?;

    Ok(Arc::new(domain, GFP_KERNEL)?)
}

/// A gate that many can wait at, and that is opened once.
pub(crate) struct Gate(Arc<Completion>);

impl Gate {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Arc::pin_init(Completion::new(), GFP_KERNEL)?))
    }

    pub(crate) fn open(&self) {
        self.0.complete_all();
    }

    pub(crate) fn wait(&self) {
        self.0.wait_for_completion();
    }
}

impl Clone for Gate {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A kernel thread that runs a closure and keeps its result.
pub(crate) struct Thread<R> {
    task: ARef<Task>,
    shared: Arc<Shared<R>>,
}

#[pin_data]
struct Shared<R> {
    #[pin]
    done: Completion,
    is_done: Atomic<bool>,
    result: UnsafeCell<Option<R>>,
}

// SAFETY: The result is written before `done`, and taken after it by the one owner of the thread.
// Tested by: nothing: The suites themselves.
unsafe impl<R: Send> Send for Shared<R> {}
// SAFETY: As above.
// Tested by: nothing: The suites themselves.
unsafe impl<R: Send> Sync for Shared<R> {}

struct Start<F, R> {
    func: F,
    shared: Arc<Shared<R>>,
}

impl<R: Send + 'static> Thread<R> {
    /// Starts a thread.
    // Tested by: nothing: The suites themselves.
    pub(crate) fn spawn<F: FnOnce() -> R + Send + 'static>(func: F) -> Result<Self> {
        let shared = Arc::pin_init(
            pin_init!(Shared {
                done <- Completion::new(),
                is_done: Atomic::new(false),
                result: UnsafeCell::new(None),
            }),
            GFP_KERNEL,
        )?;
        let start = KBox::new(
            Start {
                func,
                shared: shared.clone(),
            },
            GFP_KERNEL,
        )?;

        let start = KBox::into_raw(start);
        // SAFETY: The thread function takes the box that it is given.
        let task =
            unsafe { ffi::kthread_create(Some(ffi::thread_function::<Start<F, R>>), start.cast()) };
        let task = from_err_ptr(task).inspect_err(|_| {
            // SAFETY: There is no thread: the box is still ours.
            drop(unsafe { KBox::from_raw(start) })
        })?;
        // SAFETY: A thread that has not been woken yet is valid; `Task` is transparent.
        let task: ARef<Task> = unsafe { &*task.cast::<Task>() }.into();
        task.wake_up();

        Ok(Self { task, shared })
    }

    /// Waits for the end of the thread and returns its result.
    // Tested by: nothing: The suites themselves.
    pub(crate) fn join(self) -> R {
        self.shared.done.wait_for_completion();
        // SAFETY: The thread is done with it, and this is the one owner.
        unsafe { (*self.shared.result.get()).take() }.unwrap()
    }

    /// Waits until the thread sleeps, or has done so and ended; `false` if it does neither for a minute.
    ///
    /// On a loaded host a sleep of milliseconds may be over before it is seen.
    // Tested by: nothing: The suites themselves.
    pub(crate) fn falls_asleep(&self) -> bool {
        eventually(|| self.shared.is_done.load(Relaxed) || self.sleep_state().is_some())
    }

    /// The state in which it sleeps, if it does, and whether that counts as waiting for I/O.
    // Tested by: nothing: The suites themselves.
    pub(crate) fn sleep_state(&self) -> Option<(u32, bool)> {
        let task = self.task.as_ptr();

        // SAFETY: The task is valid, since we hold a reference.
        unsafe { ffi::is_sleeping(task).then(|| (ffi::task_state(task), ffi::in_iowait(task))) }
    }

    /// Sends it a signal.
    // Tested by: nothing: The suites themselves.
    pub(crate) fn signal(&self, signal: u32) {
        // SAFETY: The task is valid, since we hold a reference.
        unsafe { kernel::bindings::send_sig(signal as c_int, self.task.as_ptr(), 1) };
    }

    /// Wakes it for no reason.
    pub(crate) fn wake_up(&self) {
        self.task.wake_up();
    }
}

impl<F: FnOnce() -> R, R> ffi::ThreadFunction for Start<F, R> {
    // Tested by: nothing: The suites themselves.
    fn run(self) {
        // SAFETY: Only this thread touches the result before it is done.
        unsafe { *self.shared.result.get() = Some((self.func)()) };
        self.shared.is_done.store(true, Relaxed);
        self.shared.done.complete_all();
    }
}

/// Runs `f` and returns how often the current thread has gone to sleep meanwhile; on `PREEMPT_RT`, where a
/// held lock makes it sleep as well, only whether it has: 1 or 0.
// Tested by: nothing: The suites themselves.
pub(crate) fn count_switches(f: impl FnOnce()) -> usize {
    // SAFETY: The current task is valid, and changes this counter itself.
    let switches = || unsafe { (*ffi::current()).nvcsw };
    let before = switches();

    f();
    let switches = switches() - before;
    if cfg!(CONFIG_PREEMPT_RT) {
        switches.min(1)
    } else {
        switches
    }
}

/// Runs `f` as a driver does that has taken a lock with `spin_lock_irqsave()`: with interrupts off, but for
/// `PREEMPT_RT`.
pub(crate) fn with_interrupts_off<R>(f: impl FnOnce() -> R) -> R {
    if cfg!(CONFIG_PREEMPT_RT) {
        return f();
    }
    with_hard_interrupts_off(f)
}

/// Runs `f` with interrupts off, with `PREEMPT_RT` too, where few things may be called then.
// Tested by: nothing: The suites themselves.
pub(crate) fn with_hard_interrupts_off<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: They are given back below.
    let flags = unsafe { ffi::local_irq_save() };
    let ret = f();
    // SAFETY: As above.
    unsafe { ffi::local_irq_restore(flags) };
    ret
}

/// Calls a function in a hard interrupt, with `PREEMPT_RT` too, once, as a device does that answers.
#[pin_data]
pub(crate) struct Interrupt<F: FnMut() + Send + 'static> {
    #[pin]
    timer: HrTimer<Self>,
    /// Not dropped in the interrupt, where memory cannot be freed on all kernels.
    func: UnsafeCell<F>,
    came: Atomic<bool>,
}

// SAFETY: Only the timer's interrupt, which comes once, calls the function.
// Tested by: nothing: The suites themselves.
unsafe impl<F: FnMut() + Send + 'static> Sync for Interrupt<F> {}

impl<F: FnMut() + Send + 'static> HrTimerCallback for Interrupt<F> {
    type Pointer<'a> = Arc<Self>;

    // Tested by: nothing: The suites themselves.
    fn run(
        this: ArcBorrow<'_, Self>,
        _context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        // SAFETY: Only this interrupt, which comes once, touches the function.
        unsafe { (*this.func.get())() };
        this.came.store(!ffi::in_task(), Relaxed);
        HrTimerRestart::NoRestart
    }
}

impl_has_hr_timer! {
    impl{F: FnMut() + Send + 'static} HasHrTimer<Self> for Interrupt<F> {
        mode: RelativeHardMode<Monotonic>, field: self.timer
    }
}

impl<F: FnMut() + Send + 'static> Interrupt<F> {
    /// Has `func` called `delay` from now, runs `f`, and waits until it has been called.
    pub(crate) fn during<R>(delay: Delta, func: F, f: impl FnOnce() -> R) -> Result<R> {
        let this = Arc::pin_init(
            pin_init!(Self {
                timer <- HrTimer::new(),
                func: UnsafeCell::new(func),
                came: Atomic::new(false),
            }),
            GFP_KERNEL,
        )?;
        let handle = this.clone().start(delay);
        let ret = f();

        assert!(eventually(|| this.came.load(Relaxed)));
        drop(handle);
        Ok(ret)
    }
}

/// Runs `f`, whose first allocation with flags that do not allow to sleep fails. (See [`lacks_failslab`].)
// Tested by: nothing: The suites themselves.
pub(crate) fn without_memory<R>(f: impl FnOnce() -> R) -> R {
    ffi::fail_next_allocation(true);
    let ret = f();
    ffi::fail_next_allocation(false);
    ret
}

/// Lets the current thread, a kernel thread, get a signal.
// Tested by: nothing: The suites themselves.
pub(crate) fn allow_signal(signal: u32) {
    ffi::allow_signal(signal as c_int);
}

/// Runs `f` while the workqueue runs so many items at a time, on each node.
// Tested by: nothing: only suites use it.
pub(crate) fn with_places<R>(places: c_int, f: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: The queue exists while the module is loaded; all limits here are valid.
    let limit = |limit| unsafe { ffi::workqueue_set_max_active(queue::TASKS.raw(), limit) };

    limit(places);
    let _end = ScopeGuard::new(|| limit(queue::MAX_ACTIVE));
    f()
}

/// Runs `f` while the workqueue has as many items running as it may, so that nothing that is queued
/// meanwhile starts.
pub(crate) fn with_full_queue<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let domain = crate::new_async_domain!("blockers", exclusive, GFP_KERNEL)?;
    let gate = Gate::new()?;
    let running = Arc::new(Atomic::<i32>::new(0), GFP_KERNEL)?;

    with_places(1, || {
        // However this ends, the blockers do, too. The domain is dropped after that, and waits for them.
        let _end = ScopeGuard::new(|| gate.open());
        // One for each node, since each may have one that runs.
        for node in 0..nodes() {
            let (g, r) = (gate.clone(), running.clone());
            domain.on_node(node)?.schedule(GFP_KERNEL, move |_| {
                r.add(1, Relaxed);
                g.wait();
            })?;
        }
        let blocked = eventually(|| running.load(Relaxed) > 0);
        settle();
        if blocked {
            f()
        } else {
            Err(EBUSY)
        }
    })
}

/// How many NUMA nodes are online.
// Tested by: nothing: The suites themselves.
pub(crate) fn nodes() -> i32 {
    ffi::nr_online_nodes()
}

/// Whether there is only one NUMA node. If so, the case is skipped, and must return.
pub(crate) fn lacks_second_node() -> bool {
    skip_if(nodes() < 2, c"there is only one NUMA node")
}

/// Whether [`without_memory`] has no effect. If so, the case is skipped, and must return.
pub(crate) fn lacks_failslab() -> bool {
    skip_if(
        !cfg!(CONFIG_FAILSLAB),
        c"the kernel was built without CONFIG_FAILSLAB",
    )
}

// Tested by: nothing: The suites themselves.
fn skip_if(condition: bool, reason: &CStr) -> bool {
    if condition {
        // SAFETY: The reason is a string.
        unsafe { ffi::mark_test_skipped(reason.as_char_ptr()) };
    }
    condition
}

/// A sequence of numbers below `n`, each once, in an order that looks random and is always the same.
pub(crate) fn shuffled(n: usize) -> Result<KVec<usize>> {
    let mut order = KVec::with_capacity(n, GFP_KERNEL)?;
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;

    for i in 0..n {
        order.push(i, GFP_KERNEL)?;
    }
    for i in (1..n).rev() {
        // The generator of Knuth's MMIX.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        order.swap(i, (state >> 33) as usize % (i + 1));
    }
    Ok(order)
}
