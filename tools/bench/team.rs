// SPDX-License-Identifier: GPL-2.0

//! Threads that wait for something, and how often they ran meanwhile. See `team.c`.

use crate::ffi;
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

/// Threads, each of which has called a function that waits.
pub(crate) struct Team<'a> {
    raw: *mut ffi::bench_team,
    _func: PhantomData<&'a ()>,
}

/// What the threads of a team have used.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// How often the scheduler switched away from one.
    pub(crate) switches: u64,
    /// The time for which they ran.
    pub(crate) cpu_ns: u64,
}

impl Team<'_> {
    /// Starts `nr` threads that call `func` with numbers from 0, on one CPU if one is given, and,
    /// when all of them sleep, runs `f`. Returns when all threads have returned from `func`, for
    /// which `f` must have provided.
    pub(crate) fn with<W: Fn(usize) + Sync, R>(
        nr: usize,
        cpu: Option<i32>,
        func: &W,
        f: impl FnOnce(&Team<'_>) -> R,
    ) -> Result<R> {
        let data = ptr::from_ref(func).cast_mut().cast();
        // SAFETY: `call` expects a reference to a `W`, which is valid until the team is destroyed.
        let raw = from_err_ptr(unsafe {
            ffi::bench_team_create(nr.try_into()?, cpu.unwrap_or(-1), Some(call::<W>), data)
        })?;
        let team = Team {
            raw,
            _func: PhantomData,
        };
        let ret = f(&team);

        // SAFETY: The team was created above.
        unsafe { ffi::bench_team_destroy(raw) };
        Ok(ret)
    }

    /// Waits until every thread sleeps.
    pub(crate) fn settle(&self) {
        // SAFETY: A team that somebody has a reference to is valid.
        unsafe { ffi::bench_team_settle(self.raw) };
    }

    /// Waits until `nr` threads have returned from the function.
    pub(crate) fn wait_for(&self, nr: usize) {
        // SAFETY: As above.
        // CAST: There are fewer than 2^32 threads.
        while (unsafe { ffi::bench_team_released(self.raw) } as usize) < nr {
            pause();
        }
    }

    /// Waits until all threads have returned from the function, and says when the last one did.
    pub(crate) fn wait_released(&self) -> u64 {
        // SAFETY: As above.
        // CAST: The time since boot is not negative.
        unsafe { ffi::bench_team_wait_released(self.raw) as u64 }
    }

    /// What the threads, which sleep, have used so far.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = MaybeUninit::uninit();

        // SAFETY: As above; the function fills in the structure.
        let usage: ffi::bench_usage = unsafe {
            ffi::bench_team_usage(self.raw, usage.as_mut_ptr());
            usage.assume_init()
        };
        Usage {
            switches: usage.switches,
            cpu_ns: usage.cpu_ns,
        }
    }
}

impl Usage {
    /// What was used since then.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            switches: self.switches - before.switches,
            cpu_ns: self.cpu_ns - before.cpu_ns,
        }
    }
}

/// Calls the function of a team.
///
/// # Safety
///
/// `data` must be a reference to a `W`.
unsafe extern "C" fn call<W: Fn(usize) + Sync>(data: *mut c_void, index: c_uint) {
    // SAFETY: By the caller's promise.
    let func = unsafe { &*data.cast::<W>() };

    func(index as usize);
}

/// Lets others run.
pub(crate) fn pause() {
    // SAFETY: It may be called wherever one may sleep.
    unsafe { ffi::bench_pause() };
}
