// SPDX-License-Identifier: GPL-2.0

//! What was measured: kept until the workload is over, so that printing disturbs no measurement.

use crate::params::Params;
use kernel::{
    fmt,
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// What is measured: one side at one size.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) side: &'static str,
    pub(crate) n: usize,
}

/// One measurement.
struct Line {
    case: Case,
    repeat: usize,
    metric: &'static str,
    milli: u64,
    unit: &'static str,
}

/// The results of a workload.
pub(crate) struct Results {
    workload: char,
    lines: KVVec<Line>,
}

impl Results {
    pub(crate) const fn new(workload: char) -> Self {
        Self {
            workload,
            lines: KVVec::new(),
        }
    }

    /// Measures a case as often as the parameters say, after one round that is not counted.
    ///
    /// What there is no memory (or no process) for is skipped.
    pub(crate) fn measure(
        &mut self,
        params: &Params,
        case: Case,
        f: impl FnMut(&mut Sheet<'_>) -> Result,
    ) -> Result {
        let rounds = (0..=params.repeats).map(|round| round.checked_sub(1));

        self.rounds(params, case, rounds, f)
    }

    /// As [`Self::measure`], without the round that is not counted: for numbers that do not depend on
    /// what the caches hold.
    pub(crate) fn measure_cold(
        &mut self,
        params: &Params,
        case: Case,
        f: impl FnMut(&mut Sheet<'_>) -> Result,
    ) -> Result {
        self.rounds(params, case, (0..params.repeats).map(Some), f)
    }

    fn rounds(
        &mut self,
        params: &Params,
        case: Case,
        rounds: impl Iterator<Item = Option<usize>>,
        mut f: impl FnMut(&mut Sheet<'_>) -> Result,
    ) -> Result {
        if !params.has_side(case.side) {
            return Ok(());
        }
        for repeat in rounds {
            let mut sheet = Sheet {
                lines: &mut self.lines,
                case,
                repeat,
            };
            match f(&mut sheet) {
                Ok(()) => (),
                Err(error) if error == ENOMEM || error == EAGAIN => {
                    self.skip(case, "no memory for so many");
                    return Ok(());
                }
                Err(error) => {
                    let (workload, Case { side, n }) = (self.workload, case);
                    pr_err!("error workload={workload} side={side} n={n}: {error:?}\n");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Says that a case is not measured.
    pub(crate) fn skip(&self, Case { side, n }: Case, reason: &str) {
        let workload = self.workload;
        pr_info!("skip workload={workload} side={side} n={n} reason=\"{reason}\"\n");
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Writes all results to the kernel's log, and gives the consoles time to follow.
    pub(crate) fn print(&self) {
        let workload = self.workload;

        for (i, line) in self.lines.iter().enumerate() {
            let Case { side, n } = line.case;
            let Line {
                repeat,
                metric,
                milli,
                unit,
                ..
            } = line;
            let value = Milli(*milli);

            pr_info!(
                "result workload={workload} side={side} n={n} repeat={repeat} metric={metric} \
                 value={value} unit={unit}\n"
            );
            if i % 100 == 99 {
                fsleep(Delta::from_millis(50));
            }
        }
        fsleep(Delta::from_millis(200));
    }
}

/// Where one repetition writes what it has measured.
pub(crate) struct Sheet<'a> {
    lines: &'a mut KVVec<Line>,
    case: Case,
    /// None: the round that is not counted.
    repeat: Option<usize>,
}

impl Sheet<'_> {
    /// How often something happened.
    pub(crate) fn count(&mut self, metric: &'static str, value: u64) -> Result {
        self.add(metric, value * 1000, "count")
    }

    /// A time.
    pub(crate) fn ns(&mut self, metric: &'static str, ns: u64) -> Result {
        self.add(metric, ns * 1000, "ns")
    }

    /// A time for each of so many.
    pub(crate) fn ns_per(&mut self, metric: &'static str, ns: u64, nr: usize) -> Result {
        // CAST: `usize` is at most 64 bits wide.
        self.add(metric, ns * 1000 / nr as u64, "ns")
    }

    /// A size in memory.
    pub(crate) fn bytes(&mut self, metric: &'static str, bytes: usize) -> Result {
        // CAST: As above.
        self.add(metric, bytes as u64 * 1000, "bytes")
    }

    fn add(&mut self, metric: &'static str, milli: u64, unit: &'static str) -> Result {
        let Some(repeat) = self.repeat else {
            return Ok(());
        };
        let line = Line {
            case: self.case,
            repeat,
            metric,
            milli,
            unit,
        };
        Ok(self.lines.push(line, GFP_KERNEL)?)
    }
}

/// A number of thousandths, as a decimal number.
struct Milli(u64);

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            fraction => write!(f, "{}.{fraction:03}", self.0 / 1000),
        }
    }
}
