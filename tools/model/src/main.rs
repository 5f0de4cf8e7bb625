// SPDX-License-Identifier: GPL-2.0

//! The order-critical part of async_domain, explored exhaustively.
//!
//! What is explored is the module's own source: the files below are compiled as they stand, against
//! a small model of what they use of the kernel (`kernel/`), whose locks, atomics, threads and
//! memory are loom's. Loom runs a scenario again and again, until it has seen all interleavings that
//! differ, with all values that the memory model allows a load to give.
//!
//! `model`: explores all scenarios. `model SCENARIO [BREAKAGE]`: one of them, with a primitive of the
//! kernel broken. `model --quick ...`: only executions with [`QUICK`] preemptions at most.

extern crate self as kernel;
extern crate self as pin_init;

#[path = "kernel/mod.rs"]
mod model;

// What the module's source calls `kernel::*`, `pin_init::*` and `crate::ffi`.
pub use model::api::*;
use model::ffi;

#[path = "../../../rust/queue.rs"]
mod queue;
#[path = "../../../rust/trace.rs"]
mod trace;

#[path = "../../../rust/lock_class.rs"]
mod lock_class;

mod domain;
mod scenarios;
mod wait;

mod errno {
    pub use crate::error::code::*;
}

use std::{
    env,
    process::ExitCode,
    time::Instant, //
};

const QUICK: usize = 2;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let quick = arguments.first().is_some_and(|first| first == "--quick");
    if quick {
        arguments.remove(0);
    }
    let (name, breakage) = (arguments.first(), arguments.get(1));

    if let Some(breakage) = breakage {
        if !model::break_primitive(breakage) {
            eprintln!("model: no breakage \"{breakage}\"");
            return ExitCode::from(2);
        }
    }
    let chosen: Vec<_> = scenarios::ALL
        .iter()
        .filter(|scenario| name.is_none_or(|name| scenario.name.starts_with(name.as_str())))
        .collect();
    if chosen.is_empty() {
        eprintln!("model: no scenario \"{}\"", name.map_or("", |name| name));
        return ExitCode::from(2);
    }
    for scenario in chosen {
        let start = Instant::now();
        // (A failure panics in the middle of an execution, which cannot be unwound.)
        println!("exploring {}", scenario.name);
        let preemptions = match scenario.preemptions {
            n if !quick => n,
            n => Some(n.map_or(QUICK, |n| n.min(QUICK))),
        };
        let executions = model::explore(preemptions, scenario.run);
        let bound = match preemptions {
            None => "exhaustive".into(),
            Some(n) => format!("up to {n} preemptions"),
        };
        println!(
            "ok {} ({executions} executions, {bound}, {:.1} s)",
            scenario.name,
            start.elapsed().as_secs_f32()
        );
    }
    ExitCode::SUCCESS
}
