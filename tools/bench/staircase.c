// SPDX-License-Identifier: GPL-2.0

#include <linux/sched.h>
#include <linux/slab.h>

#include "bench.h"
#include "staircase.h"

struct step {
	struct wait_queue_entry wait;
	u64 target;
};

#define to_step(entry) container_of(entry, struct step, wait)

static int step_wake_function(struct wait_queue_entry *wait, unsigned int mode, int flags, void *key)
{
	u64 *reached = key;

	if (*reached < to_step(wait)->target)
		return -1;
	return autoremove_wake_function(wait, mode, flags, key);
}

static void insert_sorted(struct bench_staircase *staircase, struct step *step)
{
	struct wait_queue_entry *other;

	list_for_each_entry_reverse(other, &staircase->head.head, entry)
		if (to_step(other)->target <= step->target)
			break;
	list_add(&step->wait.entry, &other->entry);
}

void bench_staircase_wait(struct bench_staircase *staircase, u64 target)
{
	struct step step = {
		.wait = {
			.func = step_wake_function,
			.private = current,
			.entry = LIST_HEAD_INIT(step.wait.entry),
		},
		.target = target,
	};
	unsigned long flags;

	for (;;) {
		spin_lock_irqsave(&staircase->head.lock, flags);
		if (staircase->reached >= target) {
			list_del_init(&step.wait.entry);
			spin_unlock_irqrestore(&staircase->head.lock, flags);
			break;
		}
		if (list_empty(&step.wait.entry))
			insert_sorted(staircase, &step);
		set_current_state(TASK_UNINTERRUPTIBLE);
		spin_unlock_irqrestore(&staircase->head.lock, flags);

		schedule();
		/* Unlinked, and so woken for good. Otherwise the waker may not have done it yet. */
		if (list_empty_careful(&step.wait.entry))
			break;
	}
	__set_current_state(TASK_RUNNING);
}

void bench_staircase_wake(struct bench_staircase *staircase, u64 reached)
{
	unsigned long flags;

	spin_lock_irqsave(&staircase->head.lock, flags);
	bench_staircase_wake_locked(staircase, reached);
	spin_unlock_irqrestore(&staircase->head.lock, flags);
}

struct bench_staircase *bench_staircase_create(void)
{
	struct bench_staircase *staircase = kzalloc(sizeof(*staircase), GFP_KERNEL);

	if (staircase)
		bench_staircase_init(staircase);
	return staircase;
}

void bench_staircase_destroy(struct bench_staircase *staircase)
{
	kfree(staircase);
}
