// SPDX-License-Identifier: GPL-2.0

//! A module that has work in flight whenever somebody tries to unload it.
//!
//! Its exit function, and the failing of its init function, come after its last task: then each closure
//! must have been run and dropped once. What it does not like, it reports as a bug.

use async_domain::{
    errno::ESHUTDOWN,
    new_async_domain,
    new_completion_ring,
    static_domain,
    threshold::CompletionRing,
    AsyncDomain,
    Cookie,
    DeviceDomain,
    OwnedDomain,
    Submit,
    SubmitError,
    TaskContext,
    WaitMode, //
};
use core::mem;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    faux,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    },
    time::{
        delay::fsleep,
        hrtimer::ArcHrTimerHandle,
        Delta, //
    },
};

#[path = "../faults/answer.rs"]
mod answer;

use answer::Answer;

module! {
    type: Unload,
    name: "async_domain_unload",
    authors: ["The async_domain developers"],
    description: "Work in flight, for tests of unloading",
    license: "GPL",
    params: {
        work: u32 {
            default: 0xff,
            description: "Which work: a bit for each, see WORK in the source",
        },
        millis: u32 {
            default: 20,
            description: "How long the work takes",
        },
        fail: bool {
            default: false,
            description: "Fail to load, with the work in flight",
        },
    },
}

static_domain!(static SHARED);
static_domain!(static EXCLUSIVE, exclusive);

/// What has become of the closures.
static MADE: Atomic<i32> = Atomic::new(0);
static RAN: Atomic<i32> = Atomic::new(0);
static DROPPED: Atomic<i32> = Atomic::new(0);

/// A closure owns one.
struct Ticket(());

impl Ticket {
    fn new() -> Self {
        MADE.add(1, Relaxed);
        Self(())
    }

    fn run(&self) {
        RAN.add(1, Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // The destructor's code must still be there, and its data.
        fsleep(Delta::from_micros(100));
        DROPPED.add(1, Relaxed);
    }
}

/// A function that takes its time.
fn slow() -> impl FnOnce(&TaskContext<'_>) + Send + 'static {
    slow_by(1)
}

/// A function that takes that many times its time.
fn slow_by(times: u32) -> impl FnOnce(&TaskContext<'_>) + Send + 'static {
    let ticket = Ticket::new();

    move |_: &TaskContext<'_>| {
        (0..times).for_each(|_| fsleep(delay()));
        ticket.run();
    }
}

fn delay() -> Delta {
    Delta::from_millis(i64::from(module_parameters::millis.value()))
}

/// What the module keeps; dropped in this order when it is unloaded.
struct Kept {
    timers: KVec<ArcHrTimerHandle<Answer>>,
    domains: KVec<Arc<OwnedDomain>>,
    handles: KVec<DeviceDomain>,
    devices: KVec<faux::Registration>,
}

/// Everything that can be in flight, by its bit.
const WORK: [fn(&mut Kept) -> Result; 9] = [
    Kept::heap,
    Kept::fixed,
    Kept::ordered,
    Kept::token,
    Kept::future,
    Kept::scope,
    Kept::device,
    Kept::ring,
    Kept::leaked,
];

impl Kept {
    /// A domain that the module drops.
    fn domain(&mut self) -> Result<Arc<OwnedDomain>> {
        let domain = Arc::new(new_async_domain!("unload", GFP_KERNEL)?, GFP_KERNEL)?;

        self.domains.push(domain.clone(), GFP_KERNEL)?;
        Ok(domain)
    }

    /// Something in flight that a timer interrupt finishes.
    fn answered(&mut self, domain: &AsyncDomain) -> Result<Cookie> {
        self.timers.reserve(1, GFP_KERNEL)?;
        let token = domain.begin(GFP_KERNEL)?;
        let cookie = token.cookie();
        let timer = Answer::new(GFP_KERNEL)?.comes_after(delay(), token);

        self.timers.push(timer, GFP_KERNEL)?;
        Ok(cookie)
    }

    fn heap(&mut self) -> Result {
        let domain = self.domain()?;

        for _ in 0..4 {
            domain.schedule(GFP_KERNEL, slow())?;
        }
        Ok(())
    }

    /// If loading fails, nobody but the library waits for these: they are the last ones.
    fn fixed(&mut self) -> Result {
        SHARED.schedule(GFP_KERNEL, slow_by(5))?;
        EXCLUSIVE.schedule(GFP_KERNEL, slow_by(5))?;
        Ok(())
    }

    /// Retired by whichever worker the interrupt asks to.
    fn ordered(&mut self) -> Result {
        let domain = self.domain()?;

        self.answered(&domain)?;
        for _ in 0..4 {
            let (work, retire) = (slow(), slow());
            domain.schedule_ordered(GFP_KERNEL, work, |(), context: &TaskContext<'_>| {
                retire(context)
            })?;
        }
        Ok(())
    }

    fn token(&mut self) -> Result {
        self.answered(&SHARED)?;
        Ok(())
    }

    fn future(&mut self) -> Result {
        let domain = self.domain()?;
        let answered = self.answered(&domain)?.next();
        let (ticket, d) = (Ticket::new(), domain.clone());

        domain.spawn(GFP_KERNEL, async move {
            if d.synchronize_async(GFP_KERNEL, ..answered).await.is_ok() {
                ticket.run();
            }
        })?;
        Ok(())
    }

    /// Tasks of a scope hold no module. Another task, in whose frame the scope is, does.
    fn scope(&mut self) -> Result {
        let domain = self.domain()?;
        let (ticket, d) = (Ticket::new(), domain.clone());

        domain.schedule(GFP_KERNEL, move |_: &TaskContext<'_>| {
            let ran = in_scope(&d);
            bug_unless(ran == Ok(2), "a scope was left before its tasks");
            ticket.run();
        })?;
        Ok(())
    }

    /// A device with a task.
    fn device(&mut self) -> Result {
        let domain = self.device_domain(c"async_domain_unload")?;

        self.handles.push(domain, GFP_KERNEL)?;
        Ok(())
    }

    fn device_domain(&mut self, name: &CStr) -> Result<DeviceDomain> {
        let device = faux::Registration::new(name, None)?;
        let bound: &faux::Device<Bound> = device.as_ref();
        let domain = DeviceDomain::new(bound.as_ref())?;
        let func = slow();

        domain.schedule_with_device(
            GFP_KERNEL,
            move |context: &TaskContext<'_>, _: &Device<Bound>| func(context),
        )?;
        self.devices.push(device, GFP_KERNEL)?;
        Ok(domain)
    }

    /// A task that waits for what does not come.
    fn ring(&mut self) -> Result {
        let domain = self.domain()?;
        let ring = Arc::pin_init(new_completion_ring!(4, GFP_KERNEL, "unload"), GFP_KERNEL)?;
        let ring: Arc<CompletionRing<u64>> = ring;
        let ticket = Ticket::new();

        domain.schedule(GFP_KERNEL, move |_: &TaskContext<'_>| {
            let soon = WaitMode::KILLABLE.timeout(Delta::from_millis(8));
            let ret = ring.wait(&mut [0], 1, soon);
            bug_unless(ret == Err(ETIMEDOUT), "an empty ring gave something");
            ticket.run();
        })?;
        Ok(())
    }

    /// A domain that nobody drops: its memory is lost, and nothing else.
    fn leaked(&mut self) -> Result {
        let domain = new_async_domain!("leaked", GFP_KERNEL)?;

        domain.schedule(GFP_KERNEL, slow_by(5))?;
        domain.schedule_ordered(GFP_KERNEL, slow_by(5), |(), context: &TaskContext<'_>| {
            slow()(context)
        })?;
        mem::forget(domain);
        mem::forget(self.device_domain(c"async_domain_leaked")?);
        Ok(())
    }
}

/// Runs two tasks that borrow from here; returns how many have run.
fn in_scope(domain: &AsyncDomain) -> Result<i32> {
    let ran = Atomic::<i32>::new(0);

    domain.scope(|scope| -> Result {
        for _ in 0..2 {
            let func = slow();
            scope.schedule(GFP_KERNEL, |context: &TaskContext<'_>| {
                func(context);
                ran.add(1, Relaxed);
            })?;
        }
        Ok(())
    })?;
    Ok(ran.load(Relaxed))
}

/// What the kernel log is searched for.
fn bug_unless(condition: bool, what: &str) {
    if !condition {
        pr_err!("BUG: {what}\n");
    }
}

struct Unload {
    _kept: Kept,
}

impl kernel::Module for Unload {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let mut kept = Kept {
            timers: KVec::new(),
            domains: KVec::new(),
            handles: KVec::new(),
            devices: KVec::new(),
        };
        let work = module_parameters::work.value();

        for (i, start) in WORK.iter().enumerate() {
            if work & (1 << i) != 0 {
                start(&mut kept)?;
            }
        }
        if module_parameters::fail.value() {
            return Err(EIO);
        }
        Ok(Self { _kept: kept })
    }
}

impl Drop for Unload {
    fn drop(&mut self) {
        let counts = [&MADE, &RAN, &DROPPED].map(|count| count.load(Relaxed));
        let [made, ran, dropped] = counts;

        if [ran, dropped] != [made; 2] {
            pr_err!("BUG: unloaded with {made} closures made, {ran} run, {dropped} dropped\n");
        }
        // Nothing can be submitted any more that holds the module. Scopes do not.
        match SHARED.schedule(GFP_KERNEL, slow()) {
            Err(SubmitError { error, .. }) => {
                bug_unless(error == ESHUTDOWN, "a task was refused with another error")
            }
            Ok(_) => bug_unless(false, "a task was accepted by a module that goes"),
        }
        bug_unless(
            in_scope(&SHARED) == Ok(2),
            "a scope does not work in an exit function",
        );
    }
}
