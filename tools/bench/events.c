// SPDX-License-Identifier: GPL-2.0
/*
 * A count of events, and a plain wait queue that each of them wakes.
 */

#include <linux/atomic.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "bench.h"

struct bench_events {
	atomic64_t count;
	struct wait_queue_head head;
};

struct bench_events *bench_events_create(void)
{
	struct bench_events *events = kzalloc(sizeof(*events), GFP_KERNEL);

	if (events)
		init_waitqueue_head(&events->head);
	return events;
}

void bench_events_wait(struct bench_events *events, u64 target)
{
	wait_event(events->head, atomic64_read(&events->count) >= target);
}

void bench_events_post(struct bench_events *events)
{
	atomic64_inc(&events->count);
	wake_up(&events->head);
}

void bench_events_destroy(struct bench_events *events)
{
	kfree(events);
}
