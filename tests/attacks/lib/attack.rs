// SPDX-License-Identifier: GPL-2.0

//! What attacks share: the module, its verdict, and some tools.

#![allow(dead_code, unused_imports, unused_macros)]

pub(crate) use async_domain::{
    errno::*,
    new_async_domain,
    AsyncDomain,
    Cancelled,
    Cookie,
    OwnedDomain,
    Submit,
    TaskContext,
    Token,
    WaitMode, //
};
use kernel::{
    impl_has_hr_timer,
    time::{
        delay::fsleep,
        hrtimer::{
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart,
            RelativeMode, //
        },
        Delta,
        Instant,
        Monotonic, //
    },
};
pub(crate) use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        Arc,
        Completion, //
    },
};

/// Declares the module: `attack()` runs when it is loaded, and its result is the verdict. One with an `error` is then not
/// loaded after all.
macro_rules! attack {
    ($name:tt $(, $error:ident)?) => {
        kernel::prelude::module! {
            type: Attack,
            name: $name,
            description: "An attack on async_domain",
            license: "GPL",
        }

        struct Attack;

        impl kernel::Module for Attack {
            fn init(_module: &'static ThisModule) -> Result<Self> {
                match attack() {
                    Ok(()) => pr_info!("attack {}: ok\n", $name),
                    Err(e) => pr_err!("FAILED, error {}\n", e.to_errno()),
                }
                $(return Err($error);)?
                #[allow(unreachable_code)]
                Ok(Self)
            }
        }
    };
}

/// Fails the attack, if a condition does not hold.
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            pr_err!("FAILED, line {}: {}\n", line!(), stringify!($condition));
            return Err(EIO);
        }
    };
}

/// Fails the attack, if two values differ.
macro_rules! check_eq {
    ($left:expr, $right:expr) => {
        match (&$left, &$right) {
            (left, right) => {
                if *left != *right {
                    pr_err!("FAILED, line {}: {left:?} is not {right:?}\n", line!());
                    return Err(EIO);
                }
            }
        }
    };
}

/// A domain that tasks can refer to.
macro_rules! domain {
    ($name:literal $($exclusive:ident)?) => {
        Arc::new(new_async_domain!($name, $($exclusive,)? GFP_KERNEL)?, GFP_KERNEL)?
    };
}

/// The longest wait for what must come.
pub(crate) fn patience() -> WaitMode {
    WaitMode::UNINTERRUPTIBLE.timeout(Delta::from_secs(60))
}

/// A wait for what must not come.
pub(crate) fn moment() -> WaitMode {
    WaitMode::UNINTERRUPTIBLE.timeout(Delta::from_millis(30))
}

/// Sleeps so many milliseconds.
pub(crate) fn pause(ms: i64) {
    fsleep(Delta::from_millis(ms));
}

/// Whether something comes true within a minute.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::<Monotonic>::now();

    while start.elapsed() < Delta::from_secs(60) {
        if condition() {
            return true;
        }
        pause(1);
    }
    condition()
}

/// A number that is shared.
#[derive(Clone)]
pub(crate) struct Count(Arc<Atomic<u64>>);

impl Count {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Arc::new(Atomic::new(0), GFP_KERNEL)?))
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.add(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// A value that counts here when it is dropped.
    pub(crate) fn dropped(&self) -> Dropped {
        Dropped(self.clone())
    }
}

pub(crate) struct Dropped(Count);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add(1);
    }
}

/// Runs a function when it is dropped.
pub(crate) struct AtDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for AtDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A gate that many can wait at, and that is opened once.
#[derive(Clone)]
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

/// Calls a function in a hard interrupt, once.
#[pin_data]
struct Interrupt<F: FnOnce() + Send + Sync + 'static> {
    #[pin]
    timer: HrTimer<Self>,
    func: Option<F>,
    came: Gate,
}

impl<F: FnOnce() + Send + Sync + 'static> HrTimerCallback for Interrupt<F> {
    type Pointer<'a> = Pin<KBox<Self>>;

    fn run(this: Pin<&mut Self>, _context: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let this = this.project();

        if let Some(func) = this.func.take() {
            func();
        }
        this.came.open();
        HrTimerRestart::NoRestart
    }
}

impl_has_hr_timer! {
    impl{F: FnOnce() + Send + Sync + 'static} HasHrTimer<Self> for Interrupt<F> {
        mode: RelativeMode<Monotonic>, field: self.timer
    }
}

/// Runs a function in a hard interrupt, and waits until it has returned.
pub(crate) fn in_interrupt<F: FnOnce() + Send + Sync + 'static>(func: F) -> Result {
    let came = Gate::new()?;
    let opened = came.clone();
    let timer = KBox::pin_init(
        pin_init!(Interrupt {
            timer <- HrTimer::new(),
            func: Some(func),
            came: opened,
        }),
        GFP_KERNEL,
    )?;

    let handle = timer.start(Delta::from_micros(100));
    came.wait();
    drop(handle);
    Ok(())
}
