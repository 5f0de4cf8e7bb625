// SPDX-License-Identifier: GPL-2.0
// Expect: survives
// Kernels: debug stock

//! NUMA nodes that cannot be, and tasks of all kinds on the one that is, which wait for each other across.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "lib/attack.rs"]
mod lib;

use lib::*;

attack!("odd_nodes");

fn attack() -> Result {
    let domain = domain!("nodes");
    let ran = Count::new()?;

    for node in [i32::MIN, -2, 1 << 20, i32::MAX] {
        check_eq!(domain.on_node(node).err(), Some(EINVAL));
    }
    for i in 0..200 {
        let r = ran.clone();
        let task = move |context: &TaskContext<'_>| r.add(context.synchronize().is_ok().into());
        if i % 2 == 0 {
            domain.schedule(GFP_KERNEL, task)?;
        } else {
            domain.on_node(0)?.schedule(GFP_KERNEL, task)?;
        }
    }
    domain.synchronize_with(patience(), ..)?;
    check_eq!((ran.get(), domain.stats().finished), (200, 200));
    Ok(())
}
