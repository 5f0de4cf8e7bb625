// SPDX-License-Identifier: GPL-2.0

//! Waits for exactly what comes: nothing later makes up for a wake-up that is lost.

use crate::{
    body::{
        self,
        Body, //
    },
    exact::{
        Exact,
        Form,
        MAX, //
    },
    how::{
        Began,
        How, //
    },
    post::Waiting,
    rng::Rng,
    stats::Kind,
    torturer::Torturer, //
};
use async_domain::{
    Submit, //
    SubmitError,
};
use kernel::prelude::*;

pub(super) fn run(torturer: &mut Torturer, rng: &mut Rng) -> Result {
    let form = [Form::Counter, Form::Ring, Form::Table][rng.index(3)];
    let exact = Exact::new(form, u64::from(rng.range(1, MAX as u32)))?;
    // All tasks of this one are run: nobody cancels them.
    let live = torturer.world.live(0);
    let (body, given, micros) = (Body::new(&live, None), exact.clone(), rng.below(200));

    Kind::Schedule.count();
    let ret = live.domain.schedule(rng.flags(), move |context| {
        body.begin(Some(context.cookie()));
        if micros > 100 {
            body::sleep(micros);
        }
        given.give();
    });
    if let Err(SubmitError { task, .. }) = ret {
        body::given_back(1);
        drop(task);
        exact.give();
    }
    // It may be dropped while the task gives: the task has a share of its own in what it gives to.
    torturer.drop_domain(live);

    while torturer.may_wait() {
        let how = How::any(rng, &torturer.world.parameters);
        let began = Began::now();
        let ret = torturer
            .post()
            .watched(Waiting::Exact(exact.clone()), || exact.wait(how));
        if ret != Err(EAGAIN) && how.judge(ret, began, "a wait for exactly what comes") {
            exact.is_over();
            break;
        }
    }
    Ok(())
}
