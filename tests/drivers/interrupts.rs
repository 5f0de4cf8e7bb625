// SPDX-License-Identifier: GPL-2.0

//! Waits in a timer's interrupt, in the way that a parameter says.

#![forbid(unsafe_code)]

use async_domain::{
    new_async_domain,
    DeviceDomain,
    OwnedDomain,
    Submit,
    Token, //
};
use kernel::{
    device::Bound,
    faux, impl_has_hr_timer, new_spinlock,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        SpinLock, //
    },
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
};

module! {
    type: Interrupts,
    name: "interrupts",
    description: "Waits in an interrupt",
    license: "GPL",
    params: {
        way: u8 {
            default: 0,
            description: "0: none has to; 1: a call; 2: a scope; 3: a domain; 4: a device's domain",
        },
    },
}

#[pin_data]
struct Interrupt {
    #[pin]
    timer: HrTimer<Self>,
    domain: Arc<OwnedDomain>,
    #[pin]
    prey: SpinLock<Prey>,
}

/// What the interrupt drops, or leaves.
struct Prey {
    domain: Option<OwnedDomain>,
    device: Option<DeviceDomain>,
}

impl HrTimerCallback for Interrupt {
    type Pointer<'a> = Arc<Self>;

    fn run(this: ArcBorrow<'_, Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let (domain, device) = {
            let mut prey = this.prey.lock();
            (prey.domain.take(), prey.device.take())
        };
        let mut borrowed = [0_u64; 32];

        let way = module_parameters::way.value();
        pr_info!("way {way}\n");
        match way {
            0 => {
                let _ = this.domain.synchronize(..);
                this.domain.scope(|_| ());
            }
            1 => {
                let _ = this.domain.synchronize(..);
            }
            2 => this.domain.scope(|scope| {
                let _ = scope.schedule(GFP_ATOMIC, |_| borrowed.fill(!0));
            }),
            3 => drop(domain),
            _ => drop(device),
        }
        pr_info!("the interrupt goes on: {}\n", borrowed[31]);
        HrTimerRestart::NoRestart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Interrupt {
        mode: RelativeHardMode<Monotonic>, field: self.timer
    }
}

struct Interrupts {
    _token: Option<Token>,
    _domain: Arc<OwnedDomain>,
}

/// A domain with a token that nobody finishes.
fn undrained() -> Result<OwnedDomain> {
    let domain = new_async_domain!("dropped", GFP_KERNEL)?;
    core::mem::forget(domain.begin(GFP_KERNEL)?);
    Ok(domain)
}

impl kernel::Module for Interrupts {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let way = module_parameters::way.value();
        let domain = Arc::new(new_async_domain!("shared", GFP_KERNEL)?, GFP_KERNEL)?;
        let device = faux::Registration::new(c"interrupts", None)?;
        let bound: &faux::Device<Bound> = device.as_ref();

        let token = if way == 1 {
            Some(domain.begin(GFP_KERNEL)?)
        } else {
            None
        };
        let prey = Prey {
            domain: if way == 3 { Some(undrained()?) } else { None },
            device: if way == 4 {
                Some(DeviceDomain::new(bound.as_ref())?)
            } else {
                None
            },
        };
        let shared = domain.clone();
        let interrupt = Arc::pin_init(
            pin_init!(Interrupt {
                timer <- HrTimer::new(),
                domain: shared,
                prey <- new_spinlock!(prey),
            }),
            GFP_KERNEL,
        )?;
        let handle = interrupt.start(Delta::from_millis(50));
        fsleep(Delta::from_millis(1000));
        drop(handle);
        Ok(Self {
            _token: token,
            _domain: domain,
        })
    }
}
