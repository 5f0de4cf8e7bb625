// SPDX-License-Identifier: GPL-2.0
/*
 * Bare work items, without cookies or anybody who could wait for them.
 */

#include <linux/slab.h>
#include <linux/workqueue.h>

#include "bench.h"

struct item {
	struct work_struct work;
	void (*func)(void *data, u64 unused);
	void *data;
};

struct bench_queue {
	struct workqueue_struct *wq;
	void (*func)(void *data, u64 unused);
	void *data;
	unsigned int nr;
	struct item items[];
};

static void run_item(struct work_struct *work)
{
	struct item *item = container_of(work, struct item, work);

	item->func(item->data, 0);
}

static void run_allocated_item(struct work_struct *work)
{
	struct item *item = container_of(work, struct item, work);

	item->func(item->data, 0);
	kfree(item);
}

struct bench_queue *bench_queue_create(unsigned int nr, void (*func)(void *data, u64 unused), void *data)
{
	struct bench_queue *queue = kvzalloc(struct_size(queue, items, nr), GFP_KERNEL);

	if (!queue)
		return NULL;
	/* As kernel/async.c does. */
	queue->wq = alloc_workqueue("bench", WQ_UNBOUND, 0);
	if (!queue->wq) {
		kvfree(queue);
		return NULL;
	}
	queue->func = func;
	queue->data = data;
	queue->nr = nr;
	for (unsigned int i = 0; i < nr; i++) {
		INIT_WORK(&queue->items[i].work, run_item);
		queue->items[i].func = func;
		queue->items[i].data = data;
	}
	return queue;
}

/* Queues all items, whose memory has been there before. */
void bench_queue_submit(struct bench_queue *queue)
{
	for (unsigned int i = 0; i < queue->nr; i++)
		queue_work(queue->wq, &queue->items[i].work);
}

/* Queues as many items that are allocated on the way, and free themselves. */
int bench_queue_submit_allocated(struct bench_queue *queue)
{
	for (unsigned int i = 0; i < queue->nr; i++) {
		struct item *item = kmalloc(sizeof(*item), GFP_KERNEL);

		if (!item)
			return -ENOMEM;
		INIT_WORK(&item->work, run_allocated_item);
		item->func = queue->func;
		item->data = queue->data;
		queue_work(queue->wq, &item->work);
	}
	return 0;
}

/* Waits for all items. */
void bench_queue_destroy(struct bench_queue *queue)
{
	destroy_workqueue(queue->wq);
	kvfree(queue);
}

size_t bench_queue_item_size(void)
{
	return sizeof(struct item);
}
