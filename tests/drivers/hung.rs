// SPDX-License-Identifier: GPL-2.0

//! Tasks that hang until somebody writes to a file, and a file whose reader waits for them.

#![forbid(unsafe_code)]

use async_domain::{
    impl_has_task,
    new_async_domain,
    static_domain,
    Cookie,
    OwnedDomain,
    Submit,
    TaskContext,
    TaskHeader,
    TaskItem,
    Token, //
};
use kernel::{
    debugfs, fmt, new_mutex,
    prelude::*,
    sync::{
        Arc,
        Completion,
        Mutex, //
    },
    uaccess::UserSliceReader,
};

module! {
    type: Module,
    name: "hung",
    description: "Tasks that hang",
    license: "GPL",
}

static_domain!(static NEVER_USED);
static_domain!(static FIXED, exclusive);

#[pin_data]
struct World {
    hung: OwnedDomain,
    others: OwnedDomain,
    #[pin]
    gate: Completion,
    #[pin]
    tokens: Mutex<KVec<Token>>,
}

#[pin_data]
struct Command {
    world: Arc<World>,
    #[pin]
    task: TaskHeader<Self>,
}

impl_has_task! {
    impl HasTask<Self> for Command { self.task }
}

impl TaskItem for Command {
    type Pointer = Pin<KBox<Self>>;

    fn run(this: Pin<KBox<Self>>, _context: &TaskContext<'_>) {
        this.world.gate.wait_for_completion();
    }
}

impl World {
    #[inline(never)]
    fn begin_command(&self) -> Result<Cookie> {
        let token = self.hung.begin(GFP_KERNEL)?;
        let cookie = token.cookie();
        self.tokens.lock().push(token, GFP_KERNEL)?;
        Ok(cookie)
    }

    fn start(self: &Arc<Self>) -> Result {
        let w = self.clone();
        let first = self
            .hung
            .schedule(GFP_KERNEL, move |_| w.gate.wait_for_completion())?;
        self.hung
            .schedule_ordered(GFP_KERNEL, |_| (), |(), _| pr_info!("retired\n"))?;
        let command = self.begin_command()?;
        let item = KBox::pin_init(
            pin_init!(Command { world: self.clone(), task <- TaskHeader::new() }),
            GFP_KERNEL,
        )?;
        self.hung.submit(item)?;
        let w = self.clone();
        self.hung.spawn(GFP_KERNEL, async move {
            let _ = w.hung.synchronize_async(GFP_KERNEL, ..=first).await;
        })?;

        let w = self.clone();
        self.others.schedule(GFP_KERNEL, move |_| {
            let _ = w.hung.synchronize(..=command);
        })?;
        for _ in 0..300 {
            self.tokens
                .lock()
                .push(FIXED.begin(GFP_KERNEL)?, GFP_KERNEL)?;
        }
        FIXED.close();
        let w = self.clone();
        self.others.schedule(GFP_KERNEL, move |_| {
            let _ = w.hung.scope(|scope| {
                scope
                    .schedule(GFP_KERNEL, |_| w.gate.wait_for_completion())
                    .map(|_| ())
                    .map_err(|_| EIO)
            });
        })?;
        Ok(())
    }
}

/// To read it is to wait for all tasks.
struct Wait(Arc<World>);

impl debugfs::Writer for Wait {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{:?}\n", self.0.hung.synchronize(..)))
    }
}

/// To write to it is to end all tasks.
struct Finish(Arc<World>);

impl debugfs::Reader for Finish {
    fn read_from_slice(&self, _reader: &mut UserSliceReader) -> Result {
        self.0.gate.complete_all();
        drop(core::mem::take(&mut *self.0.tokens.lock()));
        Ok(())
    }
}

#[pin_data]
struct Module {
    #[pin]
    wait: debugfs::File<Wait>,
    #[pin]
    finish: debugfs::File<Finish>,
    _directory: debugfs::Dir,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            let world = Arc::pin_init(
                try_pin_init!(World {
                    hung: new_async_domain!("hung", GFP_KERNEL)?,
                    others: new_async_domain!("others", exclusive, GFP_KERNEL)?,
                    gate <- Completion::new(),
                    tokens <- new_mutex!(KVec::new()),
                }),
                GFP_KERNEL,
            )?;
            let directory = debugfs::Dir::new(c"hung");

            world.start()?;
            Ok(try_pin_init!(Self {
                wait <- directory.read_only_file(c"wait", Wait(world.clone())),
                finish <- directory.write_only_file(c"finish", Finish(world.clone())),
                _directory: directory.clone(),
            }? Error))
        })
    }
}
