// SPDX-License-Identifier: GPL-2.0
/*
 * A small core like kernel/async.c, with two ways to wait for cookies:
 *
 * - patch2025: the filter that was proposed for kernel/async.c in 2025. Each task that finishes makes
 *   the wake function of each waiter run, which takes the core's lock to see whether it is satisfied.
 * - limit: a staircase (see staircase.h) whose lock protects the pending tasks as well. There is
 *   little left that could be taken away.
 */

#include <linux/list.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "bench.h"
#include "staircase.h"

struct bench_async {
	enum bench_async_kind kind;
	struct workqueue_struct *wq;
	/* In the order of their cookies. */
	struct list_head pending;
	u64 next_cookie;

	/* patch2025: protects the above. */
	spinlock_t lock;
	struct wait_queue_head done;

	/* limit: the lock of its queue protects the above. */
	struct bench_staircase staircase;
};

struct entry {
	struct list_head list;
	struct work_struct work;
	u64 cookie;
	void (*func)(void *data, u64 cookie);
	void *data;
	struct bench_async *async;
};

/* Under the lock. */
static u64 lowest_in_progress(struct bench_async *async)
{
	struct entry *first = list_first_entry_or_null(&async->pending, struct entry, list);

	return first ? first->cookie : U64_MAX;
}

static u64 patch2025_lowest(struct bench_async *async)
{
	unsigned long flags;
	u64 lowest;

	spin_lock_irqsave(&async->lock, flags);
	lowest = lowest_in_progress(async);
	spin_unlock_irqrestore(&async->lock, flags);
	return lowest;
}

static void patch2025_finish(struct bench_async *async, struct entry *entry)
{
	unsigned long flags;

	spin_lock_irqsave(&async->lock, flags);
	list_del_init(&entry->list);
	spin_unlock_irqrestore(&async->lock, flags);
	kfree(entry);
	wake_up(&async->done);
}

struct patch2025_waiter {
	struct wait_queue_entry wait;
	struct bench_async *async;
	u64 cookie;
};

static int patch2025_wake_function(struct wait_queue_entry *wait, unsigned int mode, int flags,
				   void *key)
{
	struct patch2025_waiter *waiter = container_of(wait, struct patch2025_waiter, wait);

	if (patch2025_lowest(waiter->async) < waiter->cookie)
		return 0;
	return autoremove_wake_function(wait, mode, flags, key);
}

static void patch2025_wait(struct bench_async *async, u64 cookie)
{
	struct patch2025_waiter waiter = {
		.wait = {
			.func = patch2025_wake_function,
			.private = current,
			.entry = LIST_HEAD_INIT(waiter.wait.entry),
		},
		.async = async,
		.cookie = cookie,
	};

	for (;;) {
		prepare_to_wait(&async->done, &waiter.wait, TASK_UNINTERRUPTIBLE);
		if (patch2025_lowest(async) >= cookie)
			break;
		schedule();
	}
	finish_wait(&async->done, &waiter.wait);
}

static void limit_finish(struct bench_async *async, struct entry *entry)
{
	spinlock_t *lock = &async->staircase.head.lock;
	unsigned long flags;
	bool moves;

	spin_lock_irqsave(lock, flags);
	moves = list_is_first(&entry->list, &async->pending);
	list_del(&entry->list);
	if (moves)
		bench_staircase_wake_locked(&async->staircase, lowest_in_progress(async));
	spin_unlock_irqrestore(lock, flags);
	kfree(entry);
}

static void entry_work(struct work_struct *work)
{
	struct entry *entry = container_of(work, struct entry, work);
	struct bench_async *async = entry->async;

	entry->func(entry->data, entry->cookie);
	if (async->kind == BENCH_ASYNC_PATCH2025)
		patch2025_finish(async, entry);
	else
		limit_finish(async, entry);
}

/* Returns the cookie, or 0 if there is no memory. */
u64 bench_async_schedule(struct bench_async *async, void (*func)(void *data, u64 cookie), void *data)
{
	bool patch2025 = async->kind == BENCH_ASYNC_PATCH2025;
	spinlock_t *lock = patch2025 ? &async->lock : &async->staircase.head.lock;
	struct entry *entry = kzalloc(sizeof(*entry), GFP_ATOMIC);
	unsigned long flags;
	u64 cookie;

	if (!entry)
		return 0;
	INIT_WORK(&entry->work, entry_work);
	entry->func = func;
	entry->data = data;
	entry->async = async;

	spin_lock_irqsave(lock, flags);
	cookie = entry->cookie = async->next_cookie++;
	list_add_tail(&entry->list, &async->pending);
	if (!patch2025)
		async->staircase.reached = lowest_in_progress(async);
	spin_unlock_irqrestore(lock, flags);

	queue_work(async->wq, &entry->work);
	return cookie;
}

/* Waits until all tasks below the cookie are done. */
void bench_async_synchronize_cookie(struct bench_async *async, u64 cookie)
{
	if (async->kind == BENCH_ASYNC_PATCH2025)
		patch2025_wait(async, cookie);
	else
		bench_staircase_wait(&async->staircase, cookie);
}

struct bench_async *bench_async_create(enum bench_async_kind kind)
{
	struct bench_async *async = kzalloc(sizeof(*async), GFP_KERNEL);

	if (!async)
		return NULL;
	/* As kernel/async.c does. */
	async->wq = alloc_workqueue("bench", WQ_UNBOUND, 0);
	if (!async->wq) {
		kfree(async);
		return NULL;
	}
	async->kind = kind;
	async->next_cookie = 1;
	INIT_LIST_HEAD(&async->pending);
	spin_lock_init(&async->lock);
	init_waitqueue_head(&async->done);
	bench_staircase_init(&async->staircase);
	async->staircase.reached = U64_MAX;
	return async;
}

/* Waits for all tasks. There are no waiters. */
void bench_async_destroy(struct bench_async *async)
{
	destroy_workqueue(async->wq);
	kfree(async);
}
