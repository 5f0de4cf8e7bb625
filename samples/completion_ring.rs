// SPDX-License-Identifier: GPL-2.0

//! A device whose completions go to processes, by `read()`, `ioctl()` and `poll()`.
//!
//! Each open file of `/dev/completion_ring` is a ring of its own. A process submits requests; an
//! imaginary device answers them, one by one, by a timer interrupt; and whichever processes wait on
//! the file get the answers, in order, each once.
//!
//! # Interface
//!
//! A completion is the number of a request, a `__u64`. All arguments are arrays of `__u64`.
//!
//! - `ioctl(SUBMIT, { first, nr, period })` submits the requests `first` to `first + nr - 1`, one of
//!   which completes every `period` microseconds, from 10 to 1000000. `EBUSY` while those of an
//!   earlier call are not complete.
//! - `ioctl(WAIT, { buffer, nr, min_nr, min_wait, timeout })` waits for at least `min_nr` completions
//!   and copies up to `nr` to the buffer; returns how many. After `min_wait` milliseconds, if that is
//!   not 0, one is enough; after `timeout` milliseconds, if that is not 2^64-1, it returns what there is, or fails
//!   with `ETIMEDOUT`. A signal fails it with `EINTR` if there is nothing. `ESHUTDOWN` after `CLOSE`.
//! - `read()` waits for one completion and reads as many as there are and fit; `EAGAIN` with
//!   `O_NONBLOCK`. It reads nothing, the end of the file, after `CLOSE`.
//! - `poll()` says `POLLIN` when there are completions that nobody has been given, and `POLLHUP`
//!   after `CLOSE`.
//! - `ioctl(CLOSE)` lets all who wait return.
//! - `ioctl(COUNTS, { waits, wakeups, skipped, spurious })` reads what happened in the ring's queue.
//!
//! Completions that cannot be copied, since the buffer is no memory of the process, are gone.
//!
//! `samples/completion_ring/completions.c` is a program that uses all of it.
//!
//! The kernel's Rust abstraction of misc devices has no `poll()` yet; the module [`poll`] adds it,
//! and has all of the sample's unsafe code.

use async_domain::{
    errno::ESHUTDOWN,
    new_completion_ring,
    threshold::CompletionRing,
    WaitMode, //
};
use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    impl_has_hr_timer,
    ioctl::{
        _IO,
        _IOC_SIZE,
        _IOR,
        _IOW, //
    },
    iov::IovIterDest,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    new_mutex, new_poll_condvar,
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
        poll::{
            PollCondVar,
            PollTable, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    },
    time::{
        hrtimer::{
            ArcHrTimerHandle,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart,
            RelativeMode, //
        },
        Delta,
        Monotonic, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

#[path = "completion_ring/poll.rs"]
mod poll;

module! {
    type: CompletionRingModule,
    name: "completion_ring",
    authors: ["The async_domain developers"],
    description: "Completions for processes, a sample of async_domain",
    license: "GPL",
}

const SUBMIT: u32 = _IOW::<[u64; 3]>('|' as u32, 0x90);
const WAIT: u32 = _IOW::<[u64; 5]>('|' as u32, 0x91);
const CLOSE: u32 = _IO('|' as u32, 0x92);
const COUNTS: u32 = _IOR::<[u64; 4]>('|' as u32, 0x93);

/// How many completions a ring holds.
const CAPACITY: usize = 64;

/// A reader may wait for ever: a signal ends that, and the machine can suspend meanwhile.
const MODE: WaitMode = WaitMode::INTERRUPTIBLE.freezable();

#[pin_data]
struct CompletionRingModule {
    #[pin]
    _device: MiscDeviceRegistration<Open>,
}

impl kernel::InPlaceModule for CompletionRingModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"completion_ring",
            }),
        })
    }
}

/// The imaginary device: completes one request each time that its timer expires.
#[pin_data]
struct Device {
    #[pin]
    timer: HrTimer<Self>,
    #[pin]
    ring: CompletionRing<u64>,
    /// Where `poll()` waits.
    #[pin]
    pollers: PollCondVar,
    /// The next request to complete, and the one after the last.
    next: Atomic<u64>,
    end: Atomic<u64>,
    period: Atomic<i64>,
}

impl HrTimerCallback for Device {
    type Pointer<'a> = Arc<Self>;

    fn run(
        this: ArcBorrow<'_, Self>,
        mut context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        let next = this.next.load(Relaxed);

        match this.ring.post(next) {
            Ok(available) => {
                // Pollers have news only if nobody was given this one.
                if available > 0 {
                    this.pollers.notify_all();
                }
                this.next.store(next + 1, Release);
            }
            Err(e) if e == ESHUTDOWN => this.next.store(this.end.load(Relaxed), Release),
            // The ring is full: the device keeps the request until there is room.
            Err(_) => (),
        }
        if this.next.load(Relaxed) == this.end.load(Relaxed) {
            return HrTimerRestart::NoRestart;
        }
        context.forward_now(Delta::from_micros(this.period.load(Relaxed)));
        HrTimerRestart::Restart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Device {
        mode: RelativeMode<Monotonic>, field: self.timer
    }
}

/// An open file.
#[pin_data]
struct Open {
    device: Arc<Device>,
    /// Stops the timer when it is dropped.
    #[pin]
    running: Mutex<Option<ArcHrTimerHandle<Device>>>,
}

#[vtable]
impl MiscDevice for Open {
    type Ptr = Pin<KBox<Self>>;

    fn open(file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        let device = Arc::pin_init(
            try_pin_init!(Device {
                timer <- HrTimer::new(),
                ring <- new_completion_ring!(CAPACITY, GFP_KERNEL, "completion_ring"),
                pollers <- new_poll_condvar!("completion_ring"),
                next: Atomic::new(0),
                end: Atomic::new(0),
                period: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        let open = KBox::pin_init(
            pin_init!(Self {
                device,
                running <- new_mutex!(None),
            }),
            GFP_KERNEL,
        )?;

        poll::add_poll::<Self>(file);
        Ok(open)
    }

    fn read_iter(kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let ring = &kiocb.file().device.ring;
        let nr = core::cmp::min(iov.len() / size_of::<u64>(), CAPACITY);
        let mut events = [0; CAPACITY];
        let nonblocking = poll::is_nonblocking(&kiocb);
        let mode = if nonblocking {
            MODE.timeout(Delta::ZERO)
        } else {
            MODE
        };

        if nr == 0 {
            return Err(EINVAL);
        }
        let taken = match ring.wait(&mut events[..nr], 1, mode) {
            Ok(taken) => taken,
            Err(e) if e == ESHUTDOWN => 0,
            Err(e) if e == ETIMEDOUT => return Err(EAGAIN),
            Err(e) => return Err(e),
        };
        let mut copied = 0;
        for event in &events[..taken] {
            copied += iov.copy_to_iter(&event.to_ne_bytes());
        }
        if copied == taken * size_of::<u64>() {
            Ok(copied)
        } else {
            Err(EFAULT)
        }
    }

    fn ioctl(open: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let argument = UserSlice::new(UserPtr::from_addr(arg), _IOC_SIZE(cmd));

        match cmd {
            SUBMIT => open.submit(argument.reader().read()?),
            WAIT => open.wait(argument.reader().read()?),
            CLOSE => {
                open.device.ring.close();
                open.device.pollers.notify_all();
                Ok(0)
            }
            COUNTS => {
                let counts = open.device.ring.counts();
                let counts = [
                    counts.waits,
                    counts.wakeups,
                    counts.skipped,
                    counts.spurious,
                ];
                argument.writer().write(&counts)?;
                Ok(0)
            }
            _ => Err(ENOTTY),
        }
    }
}

impl Open {
    fn submit(&self, [first, nr, period]: [u64; 3]) -> Result<isize> {
        let device = &self.device;
        let end = first.checked_add(nr).ok_or(EINVAL)?;
        if nr == 0 || !(10..=1_000_000).contains(&period) {
            return Err(EINVAL);
        }

        let mut running = self.running.lock();
        if device.next.load(Acquire) != device.end.load(Relaxed) {
            return Err(EBUSY);
        }
        // Waits for the timer's last run to end.
        *running = None;
        device.end.store(end, Relaxed);
        device.next.store(first, Relaxed);
        // CAST: It is at most 1000000.
        device.period.store(period as i64, Relaxed);
        *running = Some(device.clone().start(Delta::from_micros(period as i64)));
        Ok(0)
    }

    fn wait(&self, [buffer, nr, min_nr, min_wait, timeout]: [u64; 5]) -> Result<isize> {
        let nr = usize::try_from(core::cmp::min(nr, CAPACITY as u64))?;
        let min_nr = usize::try_from(min_nr)?;
        let mode = if timeout == u64::MAX {
            MODE
        } else {
            MODE.timeout(millis(timeout))
        };
        let mut events = [0; CAPACITY];

        let ring = &self.device.ring;
        let taken = ring.wait_min(&mut events[..nr], min_nr, millis(min_wait), mode)?;
        let buffer = UserPtr::from_addr(usize::try_from(buffer)?);
        let mut writer = UserSlice::new(buffer, taken * size_of::<u64>()).writer();
        for event in &events[..taken] {
            writer.write(event)?;
        }
        // CAST: It is at most `CAPACITY`.
        Ok(taken as isize)
    }
}

/// A time in milliseconds, a day at most.
fn millis(ms: u64) -> Delta {
    // CAST: It has just been made small enough.
    Delta::from_millis(core::cmp::min(ms, 86_400_000) as i64)
}

impl poll::Poll for Open {
    fn poll(open: Pin<&Self>, file: &File, table: &PollTable<'_>) -> u32 {
        let ring = &open.device.ring;
        let mut events = 0;

        // First, so that what is posted after the looks below wakes us.
        table.register_wait(file, &open.device.pollers);
        if ring.available() > 0 {
            events |= poll::POLLIN;
        }
        if ring.is_closed() {
            events |= poll::POLLHUP;
        }
        events
    }
}
