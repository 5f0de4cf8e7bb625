// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the tracepoints of trace.h, and gives Rust a function for each, which it calls if the tracepoint
 * is on. Inline functions of the library ask that in the modules that use them, and so need the exports.
 */

#include <linux/export.h>

#define CREATE_TRACE_POINTS
#include "trace.h"
#include "helpers.h"

#define ASYNC_DOMAIN_TRACE(name, proto, args)			\
	EXPORT_TRACEPOINT_SYMBOL_GPL(name);			\
	void async_domain_helper_trace_##name proto		\
	{							\
		trace_##name args;				\
	}							\
	EXPORT_SYMBOL_GPL(async_domain_helper_trace_##name)

#define ASYNC_DOMAIN_TRACE_TASK(name)				\
	ASYNC_DOMAIN_TRACE(name, (const void *domain, u64 cookie), (domain, cookie))

#define ASYNC_DOMAIN_TRACE_WAIT(name)				\
	ASYNC_DOMAIN_TRACE(name,				\
		(const void *queue, const struct wait_queue_entry *waiter, u64 condition), \
		(queue, waiter, condition))

ASYNC_DOMAIN_TRACE(task_submit,
	(const void *domain, u64 cookie, const void *func, const char *name),
	(domain, cookie, func, name));
ASYNC_DOMAIN_TRACE(task_start, (const void *domain, u64 cookie, const void *func),
	(domain, cookie, func));
ASYNC_DOMAIN_TRACE_TASK(task_yield);
ASYNC_DOMAIN_TRACE_TASK(task_ready);
ASYNC_DOMAIN_TRACE_TASK(task_retire);
ASYNC_DOMAIN_TRACE_TASK(task_cancel);
ASYNC_DOMAIN_TRACE(task_error, (const void *domain, u64 cookie, int error), (domain, cookie, error));
ASYNC_DOMAIN_TRACE(task_finish, (const void *domain, u64 cookie, u64 frontier),
	(domain, cookie, frontier));

ASYNC_DOMAIN_TRACE_WAIT(wait_queue);
ASYNC_DOMAIN_TRACE_WAIT(wait_wake);
ASYNC_DOMAIN_TRACE_WAIT(wait_skip);
ASYNC_DOMAIN_TRACE_WAIT(wait_spurious);
ASYNC_DOMAIN_TRACE_WAIT(wait_gone);
