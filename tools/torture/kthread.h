/* SPDX-License-Identifier: GPL-2.0 */
/* Prototypes of kthread.c; kthread.rs repeats them. */
#ifndef ASYNC_DOMAIN_TORTURE_KTHREAD_H
#define ASYNC_DOMAIN_TORTURE_KTHREAD_H

#include <linux/types.h>

struct task_struct;

struct task_struct *async_domain_torture_create(int (*func)(void *data), void *data, int number,
						bool bind);
void async_domain_torture_join(struct task_struct *task);
unsigned int async_domain_torture_cpus(void);
void async_domain_torture_allow_signals(void);
bool async_domain_torture_fatal_signal(void);
void async_domain_torture_flush_signals(void);
void async_domain_torture_send(struct task_struct *task, bool fatal);
void async_domain_torture_resched(void);
unsigned long async_domain_torture_jiffies(void);
bool async_domain_torture_going(void);

#endif /* ASYNC_DOMAIN_TORTURE_KTHREAD_H */
