// SPDX-License-Identifier: GPL-2.0

//! A lock for each block of a device, four bytes each, on a handful of shared wait queues.
//!
//! A lock that nobody competes for is taken and released by one atomic operation. Whoever has to
//! wait does so in the wait table, under the block's number as the key. The lock is then handed over:
//! the one who unlocks gives it to the one who has waited longest, and wakes nobody else. Compare
//! `folio_lock()` in [`mm/filemap.c`](srctree/mm/filemap.c), where the one who is woken competes for
//! the lock, and after having lost gets it handed over.
//!
//! When it is loaded, the module lets some tasks change blocks of an imaginary device at the same
//! time, and reports how the waiting went.

use async_domain::{
    keyed::WaitTable,
    new_async_domain,
    new_wait_table,
    Submit,
    WaitMode, //
};
use kernel::{
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
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

module! {
    type: BlockLockModule,
    name: "block_lock",
    authors: ["The async_domain developers"],
    description: "Per-block locks on few wait queues, a sample of async_domain",
    license: "GPL",
}

/// The states of a lock. What is done to a lock that is `CONTENDED` is done in the wait table.
const FREE: u32 = 0;
const LOCKED: u32 = 1;
/// Locked, and somebody may be waiting.
const CONTENDED: u32 = 2;

/// Locks for the blocks from 0 on.
struct BlockLocks {
    states: KVVec<Atomic<u32>>,
    waiters: WaitTable<usize>,
}

impl BlockLocks {
    fn new(blocks: usize, buckets: usize) -> Result<Self> {
        let mut states = KVVec::with_capacity(blocks, GFP_KERNEL)?;
        for _ in 0..blocks {
            states.push(Atomic::new(FREE), GFP_KERNEL)?;
        }
        Ok(Self {
            states,
            waiters: new_wait_table!(buckets, GFP_KERNEL, "block_lock")?,
        })
    }

    /// Locks a block; `mode` says what may end the wait for it.
    fn lock(&self, block: usize, mode: WaitMode) -> Result<BlockGuard<'_>> {
        let state = self.states.get(block).ok_or(EINVAL)?;

        if state.cmpxchg(FREE, LOCKED, Acquire).is_err() {
            self.waiters.wait_event_exclusive(block, mode, || {
                // Taken, if it has become free meanwhile. Otherwise the owner now knows of us, and
                // must come to the table, where it finds us.
                state.xchg(CONTENDED, Acquire) == FREE
            })?;
        }
        Ok(BlockGuard {
            locks: self,
            block,
            state,
        })
    }
}

/// A block that is locked until this is dropped.
struct BlockGuard<'a> {
    locks: &'a BlockLocks,
    block: usize,
    state: &'a Atomic<u32>,
}

impl Drop for BlockGuard<'_> {
    fn drop(&mut self) {
        if self.state.cmpxchg(LOCKED, FREE, Release).is_ok() {
            return;
        }
        self.locks.waiters.with(self.block, |bucket| {
            // If somebody waits, the block stays locked, and is theirs.
            if bucket.wake_up().exclusive == 0 {
                self.state.store(FREE, Release);
            }
        });
    }
}

const TASKS: usize = 8;
const BLOCKS: usize = 4096;
const BUCKETS: usize = 2;
/// How often each task changes some block.
const CHANGES: usize = 2000;

struct Device {
    locks: BlockLocks,
    /// Two words for each block that must be the same whenever its lock is free.
    blocks: KVVec<[Atomic<u32>; 2]>,
    torn: Atomic<u32>,
}

impl Device {
    /// Changes a block. Nothing but the lock keeps others from seeing half of it.
    fn change(&self, block: usize, slowly: bool) -> Result {
        let _guard = self.locks.lock(block, WaitMode::KILLABLE.io())?;
        let [first, second] = self.blocks.get(block).ok_or(EINVAL)?;
        let old = first.load(Relaxed);

        if second.load(Relaxed) != old {
            self.torn.add(1, Relaxed);
        }
        first.store(old + 1, Relaxed);
        if slowly {
            fsleep(Delta::from_micros(100));
        }
        second.store(old + 1, Relaxed);
        Ok(())
    }
}

struct BlockLockModule;

impl kernel::Module for BlockLockModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let mut blocks = KVVec::with_capacity(BLOCKS, GFP_KERNEL)?;
        for _ in 0..BLOCKS {
            blocks.push([Atomic::new(0), Atomic::new(0)], GFP_KERNEL)?;
        }
        let device = Arc::new(
            Device {
                locks: BlockLocks::new(BLOCKS, BUCKETS)?,
                blocks,
                torn: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        let tasks = new_async_domain!("tasks", GFP_KERNEL)?;

        for task in 0..TASKS {
            let device = device.clone();
            tasks.schedule(GFP_KERNEL, move |_| {
                for i in 0..CHANGES {
                    // Every fourth change is to one of four blocks that all want.
                    let popular = i % 4 == 0;
                    let block = if popular {
                        i / 4 % 4 * 1000
                    } else {
                        (i * 61 + task * 503) % BLOCKS
                    };
                    if device.change(block, popular && i % 16 == 0).is_err() {
                        return;
                    }
                }
            })?;
        }
        tasks.synchronize(..)?;

        let changes: usize = device
            .blocks
            .iter()
            .map(|[first, _]| first.load(Relaxed) as usize)
            .sum();
        let counts = device.locks.waiters.counts();
        let torn = device.torn.load(Relaxed);
        pr_info!("{changes} changes of {BLOCKS} blocks, {torn} torn\n");
        pr_info!(
            "{} waits in {BUCKETS} queues, {} wakeups, {} spurious\n",
            counts.waits,
            counts.wakeups,
            counts.spurious
        );
        if changes != TASKS * CHANGES || torn != 0 {
            return Err(EIO);
        }
        Ok(Self)
    }
}
