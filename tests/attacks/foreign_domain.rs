// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock
// With: maker

//! A domain that another module has made, which is being unloaded all the while: a scope holds it back; after that it
//! goes, and its domain is of no use any more, and does no harm.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use kernel::{
    auxiliary,
    device::Core,
    driver,
    module::this_module,
    sync::{
        Mutex,
        SetOnce, //
    },
    types::ForLt, //
};
use lib::*;

attack!("foreign_domain");

static TAKEN: SetOnce<Arc<OwnedDomain>> = SetOnce::new();
static FOUND: Atomic<i32> = Atomic::new(0);

struct Driver;

kernel::auxiliary_device_table!(
    TABLE,
    <Driver as auxiliary::Driver>::IdInfo,
    [(auxiliary::DeviceId::new(c"maker", c"domain"), ())]
);

impl auxiliary::Driver for Driver {
    type IdInfo = ();
    type Data<'bound> = Self;
    const ID_TABLE: auxiliary::IdTable<Self::IdInfo> = &TABLE;

    fn probe<'bound>(
        device: &'bound auxiliary::Device<Core<'_>>,
        _info: &'bound (),
    ) -> impl PinInit<Self, Error> + 'bound {
        type Given = Mutex<Option<(Arc<OwnedDomain>, Token)>>;
        let given =
            device.registration_data_with::<ForLt!(Given), _>(|given| given.lock().take())?;
        let (domain, token) = given.ok_or(ENOENT)?;

        FOUND.store(as_it_must_be(&domain, token).is_ok().into(), Relaxed);
        TAKEN.populate(domain);
        Ok(Self)
    }
}

fn as_it_must_be(domain: &AsyncDomain, token: Token) -> Result {
    let mut borrowed = 0;

    domain.scope(|scope| -> Result {
        let borrowed = &mut borrowed;
        // From now on it is the scope alone that holds the maker.
        token.finish();
        domain.synchronize(..)?;
        for _ in 0..100 {
            pause(5);
            check!(domain.begin(GFP_KERNEL).is_ok());
        }
        scope.schedule(GFP_KERNEL, move |_| {
            pause(200);
            *borrowed = 17;
        })?;
        Ok(())
    })?;
    check_eq!(borrowed, 17);
    Ok(())
}

fn attack() -> Result {
    let driver = KBox::pin_init(
        driver::Registration::<auxiliary::Adapter<Driver>>::new(
            c"foreign_domain",
            this_module::<LocalModule>(),
        ),
        GFP_KERNEL,
    )?;
    check_eq!(FOUND.load(Relaxed), 1);
    let domain = TAKEN.as_ref().ok_or(ENOENT)?;

    check!(eventually(|| domain.begin(GFP_KERNEL).is_err()));
    check_eq!(domain.begin(GFP_KERNEL).err(), Some(ESHUTDOWN));
    check!(matches!(domain.schedule(GFP_KERNEL, |_| ()), Err(e) if e.error == ESHUTDOWN));
    check_eq!(
        domain.scope(|scope| scope.schedule(GFP_KERNEL, |_| ()).is_ok()),
        false
    );
    domain.synchronize(..)?;
    async_domain::synchronize_all()?;
    check_eq!(domain.lowest_in_progress(), None);
    drop(driver);
    Ok(())
}
