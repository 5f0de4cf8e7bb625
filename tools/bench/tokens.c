// SPDX-License-Identifier: GPL-2.0
/*
 * What a token costs at least: a cookie and a place in a sorted list, taken and left under the lock of a wait
 * queue that nobody waits in. No limit, no statistics, no module that must stay, and memory that is there.
 */

#include <linux/atomic.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "bench.h"

struct bare_token {
	struct list_head entry;
	u64 cookie;
};

static atomic64_t next_cookie = ATOMIC64_INIT(1);

static noinline void begin(struct wait_queue_head *queue, struct list_head *pending, struct bare_token *token)
{
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	token->cookie = atomic64_fetch_inc_relaxed(&next_cookie);
	list_add_tail(&token->entry, pending);
	spin_unlock_irqrestore(&queue->lock, flags);
}

static noinline void finish(struct wait_queue_head *queue, struct list_head *pending, struct bare_token *token)
{
	unsigned long flags;
	bool was_first;

	spin_lock_irqsave(&queue->lock, flags);
	was_first = pending->next == &token->entry;
	list_del(&token->entry);
	if (was_first && waitqueue_active(queue))
		wake_up_locked(queue);
	spin_unlock_irqrestore(&queue->lock, flags);
}

/* The time that so many take, in flight together; 0 if there is no memory. */
u64 bench_bare_tokens(unsigned int nr)
{
	struct bare_token *tokens = kvcalloc(nr, sizeof(*tokens), GFP_KERNEL);
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(queue);
	LIST_HEAD(pending);
	unsigned int i;
	ktime_t start;
	u64 ns;

	if (!tokens)
		return 0;
	/* Their pages are there before the time starts. */
	memset(tokens, 1, nr * sizeof(*tokens));

	start = ktime_get();
	for (i = 0; i < nr; i++)
		begin(&queue, &pending, &tokens[i]);
	for (i = 0; i < nr; i++)
		finish(&queue, &pending, &tokens[i]);
	ns = ktime_to_ns(ktime_sub(ktime_get(), start));

	kvfree(tokens);
	return ns;
}
