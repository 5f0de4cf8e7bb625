// SPDX-License-Identifier: GPL-2.0

//! A torture test of the library, in the manner of the kernel's rcutorture and locktorture.
//!
//! Threads on all CPUs perform random operations of every kind on a changing set of domains, and on the
//! waits by key and by threshold. Each operation is checked against a plain model that is kept beside
//! what it works on ([`model`], [`body`], [`events`]): no wake-up is late, early or spurious, no
//! cookie is out of order, each closure is run or dropped exactly once, and what happens in order does.
//!
//! The threads ([`thread`]) make their choices with generators of their own: the same seed makes every
//! thread do the same things, if not at the same time. Now and then all stand still, and the books are
//! balanced ([`coordinator`]). A watchdog looks for threads that sleep although what they wait for is
//! there ([`watchdog`]).
//!
//! # Use
//!
//! `insmod` starts it. It ends after `seconds`, or when something is written to `stop` in its directory
//! in debugfs, and at once when a check fails, unless it is to `keep_going`. Then the last line in the
//! log is the verdict, and the file `verdict` says `SUCCESS` or `FAILURE` instead of `RUNNING`.
//! `rmmod` ends it too; but like that of any user of the library it is refused while tasks are
//! unfinished.
//!
//! ```text
//! async_domain_torture: SUCCESS: 11037127 operations, ... checks in 600 s, 8 threads, seed 1
//! ```

mod body;
mod check;
mod coordinator;
mod events;
mod exact;
mod how;
mod in_flight;
mod kthread;
mod model;
mod ops;
mod parameters;
mod post;
mod rng;
mod stats;
mod thread;
mod timer;
mod torturer;
mod watchdog;
mod world;

use kernel::{
    debugfs,
    fmt,
    prelude::*,
    sync::Arc,
    time::{
        hrtimer::HrTimerExpires,
        Instant,
        RealTime, //
    },
    uaccess::UserSliceReader, //
};
use kthread::Thread;
use parameters::Parameters;
use world::World;

module! {
    type: Torture,
    name: "async_domain_torture",
    authors: ["The async_domain developers"],
    description: "Torture test of async_domain",
    license: "GPL",
    params: {
        threads: usize {
            default: 0,
            description: "Number of threads; 0 is two for each CPU",
        },
        seconds: u32 {
            default: 0,
            description: "Ends by itself after so many seconds; 0 is never",
        },
        seed: u64 {
            default: 0,
            description: "Seed of all choices; 0 takes one from the clock",
        },
        operations: u32 {
            default: 0,
            description: "Mask of the operations that are chosen from (see ops.rs); 0 is all",
        },
        stat_interval: u32 {
            default: 30,
            description: "Prints statistics every so many seconds; 0 is never",
        },
        phase: u32 {
            default: 3,
            description: "All threads stand still, and the books are balanced, every so many seconds",
        },
        stall: u32 {
            default: 60,
            description: "An operation that takes longer than so many seconds has failed",
        },
        verbose: bool {
            default: false,
            description: "Prints how many operations of which kind there were, each time",
        },
        keep_going: bool {
            default: false,
            description: "Does not end when a check has failed",
        },
    },
}

#[pin_data(PinnedDrop)]
struct Torture {
    world: Arc<World>,
    coordinator: Option<Thread>,
    #[pin]
    stop: debugfs::File<Stop>,
    #[pin]
    verdict: debugfs::File<Verdict>,
    _directory: debugfs::Dir,
}

/// The file by which the run is ended.
struct Stop(Arc<World>);

impl debugfs::Reader for Stop {
    fn read_from_slice(&self, _reader: &mut UserSliceReader) -> Result {
        self.0.stop();
        Ok(())
    }
}

/// The file that says how it has ended.
struct Verdict(Arc<World>);

impl debugfs::Writer for Verdict {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{}\n", self.0.verdict()))
    }
}

/// The parameters as they were given, or what stands for them.
fn parameters() -> Parameters {
    Parameters {
        threads: match *module_parameters::threads.value_ref() {
            0 => 2 * kthread::cpus(),
            n => n,
        },
        seconds: i64::from(*module_parameters::seconds.value_ref()),
        seed: match *module_parameters::seed.value_ref() {
            // CAST: Any number will do.
            0 => rng::mix(Instant::<RealTime>::now().as_nanos() as u64),
            n => n,
        },
        operations: *module_parameters::operations.value_ref(),
        stat_interval: i64::from(*module_parameters::stat_interval.value_ref()),
        phase: i64::from(*module_parameters::phase.value_ref()).max(1),
        stall: i64::from(*module_parameters::stall.value_ref()).max(10),
        verbose: *module_parameters::verbose.value_ref(),
        keep_going: *module_parameters::keep_going.value_ref(),
    }
}

impl kernel::InPlaceModule for Torture {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            let parameters = parameters();
            pr_info!("begins: {parameters:?}\n");
            let world = World::new(parameters)?;
            let directory = debugfs::Dir::new(c"async_domain_torture");

            Ok(try_pin_init!(Self {
                stop <- directory.write_only_file(c"stop", Stop(world.clone())),
                verdict <- directory.read_only_file(c"verdict", Verdict(world.clone())),
                _directory: directory.clone(),
                coordinator: Some(coordinator::start(world.clone())?),
                world: world.clone(),
            }? Error))
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Torture {
    fn drop(self: Pin<&mut Self>) {
        self.world.stop();
        // Its end is the end of all threads.
        if let Some(coordinator) = self.project().coordinator.take() {
            coordinator.join();
        }
    }
}
