// SPDX-License-Identifier: GPL-2.0

//! Files that show what all domains are doing: see `Documentation/debugging.rst`.
//!
//! There are two for all domains, and none for each. A domain may be made in any context; a file may not.

use super::snapshot::{
    Code,
    Snapshot,
    TaskView,
    WaiterView,
    Who, //
};
use crate::{
    domain::core::cookie::Cookie,
    ffi::debugfs::{
        Directory,
        Output,
        Records, //
    }, //
};
use kernel::prelude::*;

/// How many tasks, and how many waiters, are shown of each domain.
const ROOM: usize = 256;

/// The directory `async_domain` of debugfs.
pub(crate) struct DebugFs(#[expect(dead_code)] Directory);

impl DebugFs {
    /// Makes the directory. If that fails, then it is not there, as is usual with debugfs.
    pub(crate) fn new() -> Self {
        let directory = Directory::new(c"async_domain");

        directory.file::<Domains>(c"domains");
        directory.file::<Details>(c"state");
        Self(directory)
    }
}

/// The file `domains`: a line for each domain.
struct Domains(Snapshot);

impl Records for Domains {
    fn new() -> Result<Self> {
        Snapshot::with_room(0, GFP_KERNEL).map(Self)
    }

    fn seek(&mut self, position: u64) -> Option<u64> {
        seek(&mut self.0, position)
    }

    fn show(&self, position: u64, out: &Output<'_>) {
        if position == 0 {
            out.print(fmt!(
                "{:>6} {:>10} {:>10} {:>7} {:>10} {:>7} {:>10} {:>10} {:>10} {:>6} MODULE NAME\n",
                "DOMAIN",
                "FRONTIER",
                "UNFINISHED",
                "QUEUED",
                "SUBMITTED",
                "WAITERS",
                "WAITS",
                "WAKEUPS",
                "SKIPPED",
                "VAIN",
            ));
            return;
        }

        let Self(domain) = self;
        out.print(fmt!("{:>6} ", domain.number));
        match domain.frontier {
            Some(frontier) => out.print(fmt!("{:>10} ", frontier.as_u64())),
            None => out.print(fmt!("{:>10} ", "-")),
        }
        out.print(fmt!(
            "{:>10} {:>7} {:>10} {:>7} {:>10} {:>10} {:>10} {:>6} {} {}\n",
            domain.unfinished,
            domain.queued,
            domain.submitted,
            domain.waiting,
            domain.counts.waits,
            domain.counts.wakeups,
            domain.counts.skipped,
            domain.counts.spurious,
            domain.module(),
            domain.name(),
        ));
    }
}

/// The file `state`: all tasks and waiters of each domain.
struct Details(Snapshot);

impl Records for Details {
    fn new() -> Result<Self> {
        Snapshot::with_room(ROOM, GFP_KERNEL).map(Self)
    }

    fn seek(&mut self, position: u64) -> Option<u64> {
        seek(&mut self.0, position)
    }

    fn show(&self, position: u64, out: &Output<'_>) {
        let Self(domain) = self;

        if position == 0 {
            out.print(fmt!("next cookie: {}\n", Cookie::now()));
            return;
        }
        show_domain(domain, out);
        if !domain.tasks.is_empty() {
            out.print(fmt!(
                "  {:>10} {:<9} {:>11} {:>7} FUNCTION\n",
                "COOKIE",
                "STATE",
                "AGE",
                "PID"
            ));
        }
        for task in &domain.tasks {
            show_task(task, out);
        }
        show_rest(domain.unfinished - domain.tasks.len(), "tasks", out);

        if !domain.waiters.is_empty() {
            out.print(fmt!("  {:>10} {:>7} COMM\n", "WAITS-FOR", "PID"));
        }
        for waiter in &domain.waiters {
            show_waiter(waiter, out);
        }
        show_rest(domain.waiting - domain.waiters.len(), "waiters", out);
    }
}

/// Position 0 is that of the heading, and each domain has its number.
fn seek(snapshot: &mut Snapshot, position: u64) -> Option<u64> {
    if position == 0 {
        return Some(0);
    }
    snapshot.take(position)
}

fn show_domain(domain: &Snapshot, out: &Output<'_>) {
    out.print(fmt!(
        "\ndomain {} \"{}\" of {}",
        domain.number,
        domain.name(),
        domain.module()
    ));
    out.print(fmt!(", traced as "));
    out.hashed(domain.id);
    for (is_set, what) in [
        (domain.exclusive, ", exclusive"),
        (domain.closed, ", closed"),
        (domain.pinned, ", pinned"),
        (domain.of_device, ", of a device"),
    ] {
        if is_set {
            out.print(fmt!("{what}"));
        }
    }
    out.print(fmt!("\n  frontier: "));
    match domain.frontier {
        Some(frontier) => out.print(fmt!("{frontier}\n")),
        None => out.print(fmt!("-\n")),
    }
    out.print(fmt!(
        "  tasks: {} unfinished, {} queued, {} submitted, {} finished, limit {}\n",
        domain.unfinished,
        domain.queued,
        domain.submitted,
        // CAST: `usize` is at most 64 bits wide.
        domain.submitted - domain.unfinished as u64,
        domain.limit,
    ));
    out.print(fmt!(
        "  waiters: {} waiting, {} waits, {} wakeups, {} skipped, {} spurious\n",
        domain.waiting,
        domain.counts.waits,
        domain.counts.wakeups,
        domain.counts.skipped,
        domain.counts.spurious,
    ));
}

fn show_task(task: &TaskView, out: &Output<'_>) {
    out.print(fmt!(
        "  {:>10} {:<9} {:>5}.{:03} s ",
        task.cookie.as_u64(),
        task.stage.name(),
        task.age / 1000,
        task.age % 1000,
    ));
    match task.worker {
        Some(pid) => out.print(fmt!("{pid:>7} ")),
        None => out.print(fmt!("{:>7} ", "-")),
    }
    match task.code {
        Code::Function(address) => out.function(address),
        Code::Inside(address) => out.place(address),
        Code::Unknown => out.print(fmt!("-")),
    }
    if let Some(pid) = task.scope {
        out.print(fmt!(", in a scope of {pid}"));
    }
    if task.stopped {
        out.print(fmt!(", asked to stop"));
    }
    out.print(fmt!("\n"));
}

fn show_waiter(waiter: &WaiterView, out: &Output<'_>) {
    match waiter.below {
        Cookie::UNUSED => out.print(fmt!("  {:>10} ", "the end")),
        Cookie::IDLE => out.print(fmt!("  {:>10} ", "all")),
        below => {
            let digits = 1 + (1..9).filter(|&i| below.as_u64() >= 10u64.pow(i)).count();
            // (The kernel's formatting cannot take the width from a variable.)
            out.print(fmt!("  {}<{below} ", &"         "[digits..]))
        }
    }
    match waiter.who {
        Who::Thread { pid, .. } => out.print(fmt!("{pid:>7} {}\n", waiter.who.name())),
        Who::Future(Some(cookie)) => {
            out.print(fmt!("{:>7} {} of task {cookie}\n", "-", waiter.who.name()))
        }
        Who::Future(None) => out.print(fmt!("{:>7} {}\n", "-", waiter.who.name())),
    }
}

fn show_rest(count: usize, what: &str, out: &Output<'_>) {
    if count > 0 {
        out.print(fmt!("  ... {count} more {what}\n"));
    }
}
