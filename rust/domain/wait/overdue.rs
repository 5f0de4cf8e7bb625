// SPDX-License-Identifier: GPL-2.0

//! Waits that nothing can end but what they wait for: the kernel log says what that is.
//!
//! A domain that is dropped, a device that is unbound, a scope that ends and a module that goes cannot go on
//! before tasks are done that use what is to be freed. If one of these is never done, such as a token that
//! was leaked, then the thread sleeps for ever. All such waits go through [`wait`], which reports them after
//! some seconds, and ever more rarely from then on.

use crate::{
    domain::{
        core::{
            domain::AsyncDomain,
            registry, //
        },
        debug::snapshot::{
            Code,
            Snapshot, //
        }, //
    },
    ffi,
    wait::WaitMode, //
};
use core::ptr;
use kernel::{
    prelude::*,
    str::BStr,
    time::Delta, //
};

/// After how long a wait is reported, for the first time.
const PATIENCE: Delta = Delta::from_secs(10);

/// How many tasks are named in a report.
const SHOWN: usize = 4;

/// Waits by `wait`, over and over as long as that fails with `ETIMEDOUT`. Calls `report` in between, with how
/// many seconds it has been.
///
/// # Context
///
/// Process context; may sleep.
pub(crate) fn wait(wait: impl FnMut(WaitMode) -> Result, report: impl FnMut(u32)) -> Result {
    wait_from(PATIENCE, wait, report)
}

/// The first report comes after this time, and the next ones when it has been twice as long each time:
/// also the kernel's detector of hung tasks, which looks for threads that have not run, notices in the end.
// Tested by: test overdue.
fn wait_from(
    first: Delta,
    mut wait: impl FnMut(WaitMode) -> Result,
    mut report: impl FnMut(u32),
) -> Result {
    let mut waited = Delta::ZERO;
    let mut step = first;

    loop {
        let ret = wait(WaitMode::UNINTERRUPTIBLE.timeout(step));
        if ret != Err(ETIMEDOUT) {
            return ret;
        }
        waited += step;
        step = waited;
        // CAST: Nobody waits for as many seconds as would not fit.
        report((waited.as_millis() / 1000) as u32);
    }
}

/// Says in the kernel log which tasks of a domain, about which something is said, somebody waits for.
pub(crate) fn report(domain: &AsyncDomain, what: &str, seconds: u32) {
    match Snapshot::with_room(SHOWN, GFP_NOWAIT) {
        Ok(mut snapshot) => {
            // The domain's owner is there for as long.
            registry::locked(|_| snapshot.look_at(domain));
            print(&snapshot, what, seconds);
        }
        Err(_) => pr_warn!(
            "thread {} has waited for {} s for a domain {}\n",
            ffi::current_pid(),
            seconds,
            what,
        ),
    }
}

/// The same for all domains that a module has made, which goes.
// Tested by: test overdue.
pub(crate) fn report_module(module: *mut ffi::module, seconds: u32) {
    // SAFETY: The module is not freed before its notifiers return.
    let (name, refs) = unsafe {
        (
            CStr::from_char_ptr(ffi::module_name(module)),
            ffi::module_refcount(module),
        )
    };
    pr_warn!(
        "thread {} has waited for {} s for the tasks of {}, which goes ({} references)\n",
        ffi::current_pid(),
        seconds,
        BStr::from_bytes(name.to_bytes()),
        refs.max(0),
    );

    let Ok(mut snapshot) = Snapshot::with_room(SHOWN, GFP_NOWAIT) else {
        return;
    };
    let mut from = 0;
    while let Some(number) = snapshot.take(from) {
        if ptr::eq(snapshot.owner, module) && snapshot.frontier.is_some() {
            print(&snapshot, "whose module goes", seconds);
        }
        from = number + 1;
    }
}

// Tested by: test overdue.
fn print(domain: &Snapshot, what: &str, seconds: u32) {
    pr_warn!(
        "thread {} has waited for {} s for domain \"{}\" of {}, {}; {} unfinished:\n",
        ffi::current_pid(),
        seconds,
        domain.name(),
        domain.module(),
        what,
        domain.unfinished,
    );
    for task in &domain.tasks {
        let stage = task.stage.name();
        let (address, is_inside) = match task.code {
            Code::Function(address) => (address, false),
            Code::Inside(address) => (address, true),
            Code::Unknown => (0, false),
        };

        // SAFETY: The name is valid, and has this length. The address is looked up, and not followed.
        unsafe {
            ffi::report_task(
                task.cookie.as_u64(),
                // CAST: The name is short.
                stage.len() as c_int,
                stage.as_ptr().cast(),
                task.age,
                task.worker.unwrap_or(0),
                ptr::without_provenance(address),
                is_inside,
            );
        }
    }
    if domain.unfinished > domain.tasks.len() {
        pr_warn!(
            "  ... and {} more\n",
            domain.unfinished - domain.tasks.len()
        );
    }
}

#[cfg(ASYNC_DOMAIN_KUNIT)]
#[kunit_tests(async_domain_overdue)]
mod tests {
    use super::*;
    use crate::errno::EDEADLK;

    #[test]
    fn a_wait_is_reported_ever_more_rarely() -> Result {
        let domain = crate::new_async_domain!("kunit overdue", GFP_KERNEL)?;
        let mut token = Some(domain.begin(GFP_KERNEL)?);
        let (mut steps, mut reports) = (KVec::with_capacity(4, GFP_KERNEL)?, 0);

        let tick = Delta::from_millis(4);

        wait_from(
            tick,
            |mode| {
                let _ = steps.push_within_capacity(mode.time_left());
                domain.synchronize_with(mode, ..)
            },
            |seconds| {
                report(&domain, "which a test waits for", seconds);
                reports += 1;
                if reports == 3 {
                    token = None;
                }
            },
        )?;
        assert_eq!(reports, 3);
        assert!(steps
            .iter()
            .eq(&[1, 1, 2, 4].map(|times| Some(tick * times))));
        Ok(())
    }

    #[test]
    fn what_ends_the_wait_is_returned() {
        let wait = |ret: Result| wait_from(PATIENCE, |_| ret, |_| panic!("nothing to report"));

        assert_eq!(wait(Ok(())), Ok(()));
        assert_eq!(wait(Err(EDEADLK)), Err(EDEADLK));
    }
}
