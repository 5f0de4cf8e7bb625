/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints of async_domain; Documentation/tracing.rst describes them. A domain is named by the
 * address of its wait queue, so that task and wait events of one domain have the same.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM async_domain

#if !defined(ASYNC_DOMAIN_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define ASYNC_DOMAIN_TRACE_H

#include <linux/sched.h>
#include <linux/tracepoint.h>
#include <linux/wait.h>

TRACE_EVENT(task_submit,
	TP_PROTO(const void *domain, u64 cookie, const void *func, const char *name),
	TP_ARGS(domain, cookie, func, name),
	TP_STRUCT__entry(
		__field(const void *, domain)
		__field(u64, cookie)
		__field(const void *, func)
		__string(name, name)
	),
	TP_fast_assign(
		__entry->domain = domain;
		__entry->cookie = cookie;
		__entry->func = func;
		__assign_str(name);
	),
	TP_printk("domain=%p cookie=%llu func=%ps name=%s", __entry->domain, __entry->cookie,
		  __entry->func, __get_str(name))
);

TRACE_EVENT(task_start,
	TP_PROTO(const void *domain, u64 cookie, const void *func),
	TP_ARGS(domain, cookie, func),
	TP_STRUCT__entry(
		__field(const void *, domain)
		__field(u64, cookie)
		__field(const void *, func)
	),
	TP_fast_assign(
		__entry->domain = domain;
		__entry->cookie = cookie;
		__entry->func = func;
	),
	TP_printk("domain=%p cookie=%llu func=%ps", __entry->domain, __entry->cookie, __entry->func)
);

DECLARE_EVENT_CLASS(async_domain_task,
	TP_PROTO(const void *domain, u64 cookie),
	TP_ARGS(domain, cookie),
	TP_STRUCT__entry(
		__field(const void *, domain)
		__field(u64, cookie)
	),
	TP_fast_assign(
		__entry->domain = domain;
		__entry->cookie = cookie;
	),
	TP_printk("domain=%p cookie=%llu", __entry->domain, __entry->cookie)
);

/* A future was polled, and is not ready: its worker is free. */
DEFINE_EVENT(async_domain_task, task_yield,
	TP_PROTO(const void *domain, u64 cookie),
	TP_ARGS(domain, cookie)
);

/* The parallel part of an ordered task is done. */
DEFINE_EVENT(async_domain_task, task_ready,
	TP_PROTO(const void *domain, u64 cookie),
	TP_ARGS(domain, cookie)
);

/* Its in-order part begins. */
DEFINE_EVENT(async_domain_task, task_retire,
	TP_PROTO(const void *domain, u64 cookie),
	TP_ARGS(domain, cookie)
);

/* A task was taken back, and is about to be dropped. */
DEFINE_EVENT(async_domain_task, task_cancel,
	TP_PROTO(const void *domain, u64 cookie),
	TP_ARGS(domain, cookie)
);

TRACE_EVENT(task_error,
	TP_PROTO(const void *domain, u64 cookie, int error),
	TP_ARGS(domain, cookie, error),
	TP_STRUCT__entry(
		__field(const void *, domain)
		__field(u64, cookie)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->domain = domain;
		__entry->cookie = cookie;
		__entry->error = error;
	),
	TP_printk("domain=%p cookie=%llu error=%d", __entry->domain, __entry->cookie, __entry->error)
);

TRACE_EVENT(task_finish,
	TP_PROTO(const void *domain, u64 cookie, u64 frontier),
	TP_ARGS(domain, cookie, frontier),
	TP_STRUCT__entry(
		__field(const void *, domain)
		__field(u64, cookie)
		__field(u64, frontier)
	),
	TP_fast_assign(
		__entry->domain = domain;
		__entry->cookie = cookie;
		__entry->frontier = frontier;
	),
	TP_printk("domain=%p cookie=%llu frontier=%llu", __entry->domain, __entry->cookie,
		  __entry->frontier)
);

/* The waiter is a thread, or, without a pid, a future. */
DECLARE_EVENT_CLASS(async_domain_wait,
	TP_PROTO(const void *queue, const struct wait_queue_entry *waiter, u64 condition),
	TP_ARGS(queue, waiter, condition),
	TP_STRUCT__entry(
		__field(const void *, queue)
		__field(const void *, waiter)
		__field(s64, condition)
		__field(pid_t, pid)
		__array(char, comm, TASK_COMM_LEN)
	),
	TP_fast_assign(
		const struct task_struct *task = waiter->private;

		__entry->queue = queue;
		__entry->waiter = waiter;
		__entry->condition = condition;
		__entry->pid = task ? task->pid : 0;
		strscpy(__entry->comm, task ? task->comm : "future", TASK_COMM_LEN);
	),
	TP_printk("queue=%p waiter=%p condition=%lld pid=%d comm=%s", __entry->queue,
		  __entry->waiter, __entry->condition, __entry->pid, __entry->comm)
);

DEFINE_EVENT(async_domain_wait, wait_queue,
	TP_PROTO(const void *queue, const struct wait_queue_entry *waiter, u64 condition),
	TP_ARGS(queue, waiter, condition)
);

DEFINE_EVENT(async_domain_wait, wait_wake,
	TP_PROTO(const void *queue, const struct wait_queue_entry *waiter, u64 condition),
	TP_ARGS(queue, waiter, condition)
);

DEFINE_EVENT(async_domain_wait, wait_skip,
	TP_PROTO(const void *queue, const struct wait_queue_entry *waiter, u64 condition),
	TP_ARGS(queue, waiter, condition)
);

/* The waiter ran, found its condition not true, and sleeps again. */
DEFINE_EVENT(async_domain_wait, wait_spurious,
	TP_PROTO(const void *queue, const struct wait_queue_entry *waiter, u64 condition),
	TP_ARGS(queue, waiter, condition)
);

/* The waiter leaves without having been woken: a signal, the end of its time, or a dropped future. */
DEFINE_EVENT(async_domain_wait, wait_gone,
	TP_PROTO(const void *queue, const struct wait_queue_entry *waiter, u64 condition),
	TP_ARGS(queue, waiter, condition)
);

#endif /* ASYNC_DOMAIN_TRACE_H */

/* This part must be outside of the guard. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
