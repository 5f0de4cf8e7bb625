// SPDX-License-Identifier: GPL-2.0

//! Units that processes wait for, in the way that each says: who writes "killable freezable 500" to the device gets one,
//! or an error after half a second. "grant 3 200" gives three to those who wait, after 200 ms; "balance" says in the kernel
//! log what has become of all that were given.

#![forbid(unsafe_code)]

use async_domain::{
    keyed::{
        shared,
        Address, //
    },
    static_domain,
    Submit,
    WaitMode, //
};
use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    iov::IovIterSource,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

module! {
    type: Module,
    name: "freezing",
    description: "Waits of processes that are frozen",
    license: "GPL",
}

static_domain!(static GRANTS);

/// Those that nobody has; touched under the lock of their own address's queue.
static UNITS: Atomic<u64> = Atomic::new(0);
static GIVEN: Atomic<u64> = Atomic::new(0);
static TAKEN: Atomic<u64> = Atomic::new(0);

fn key() -> Address {
    Address::of(&UNITS)
}

fn take(mode: WaitMode) -> Result {
    shared().wait_event_exclusive(key(), mode, || {
        let units = UNITS.load(Relaxed);
        UNITS.store(units.saturating_sub(1), Relaxed);
        units > 0
    })?;
    TAKEN.add(1, Relaxed);
    Ok(())
}

fn grant(nr: u64) {
    let woken = shared().with(key(), |bucket| {
        let units = UNITS.load(Relaxed) + nr;
        let woken = bucket.wake_up_nr(units).exclusive;
        UNITS.store(units - woken, Relaxed);
        woken
    });

    GIVEN.add(nr, Relaxed);
    pr_info!("granted {nr}, and woke {woken}\n");
}

fn number(word: Option<&str>) -> Result<u32> {
    word.and_then(|word| word.parse().ok()).ok_or(EINVAL)
}

fn command(line: &str) -> Result {
    let mut words = line.split_ascii_whitespace();

    let mut mode = match words.next() {
        Some("uninterruptible") => WaitMode::UNINTERRUPTIBLE.fallible(),
        Some("interruptible") => WaitMode::INTERRUPTIBLE,
        Some("killable") => WaitMode::KILLABLE,
        Some("grant") => {
            let (nr, delay) = (number(words.next())?, number(words.next())?);
            GRANTS.schedule(GFP_KERNEL, move |_| {
                fsleep(Delta::from_millis(delay.into()));
                grant(nr.into());
            })?;
            return Ok(());
        }
        Some("balance") => {
            GRANTS.synchronize(..)?;
            let [given, taken, left] = [&GIVEN, &TAKEN, &UNITS].map(|count| count.load(Relaxed));
            pr_info!("given {given}, taken {taken}, left {left}\n");
            return if given == taken + left {
                Ok(())
            } else {
                Err(EIO)
            };
        }
        _ => return Err(EINVAL),
    };
    for word in words {
        mode = match word {
            "freezable" => mode.freezable(),
            "idle" => mode.idle(),
            "io" => mode.io(),
            "hrtimer" => mode.hrtimer(Delta::from_micros(50)),
            timeout => mode.timeout(Delta::from_millis(number(Some(timeout))?.into())),
        };
    }
    take(mode)
}

struct Open;

#[vtable]
impl MiscDevice for Open {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _device: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        Ok(KBox::new(Self, GFP_KERNEL)?)
    }

    fn write_iter(_kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let mut line = KVec::new();
        let len = iov.copy_from_iter_vec(&mut line, GFP_KERNEL)?;

        command(core::str::from_utf8(&line).map_err(|_| EINVAL)?)?;
        Ok(len)
    }
}

#[pin_data]
struct Module {
    #[pin]
    _device: MiscDeviceRegistration<Open>,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"freezing" }),
        })
    }
}
