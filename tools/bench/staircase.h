/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The staircase by hand: waiters in the order of what they wait for, and a walk that ends at the first
 * one that must sleep on. This is what the Rust form has to be as fast as.
 */
#ifndef ASYNC_DOMAIN_BENCH_STAIRCASE_H
#define ASYNC_DOMAIN_BENCH_STAIRCASE_H

#include <linux/wait.h>

struct bench_staircase {
	struct wait_queue_head head;
	/* Under the head's lock. */
	u64 reached;
};

static inline void bench_staircase_init(struct bench_staircase *staircase)
{
	init_waitqueue_head(&staircase->head);
	staircase->reached = 0;
}

/* Under the head's lock. */
static inline void bench_staircase_wake_locked(struct bench_staircase *staircase, u64 reached)
{
	staircase->reached = reached;
	if (waitqueue_active(&staircase->head))
		__wake_up_locked_key(&staircase->head, TASK_NORMAL, &reached);
}

#endif /* ASYNC_DOMAIN_BENCH_STAIRCASE_H */
