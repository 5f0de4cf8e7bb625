// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's Rust crate lacks, for the torture module: kernel threads, their signals and
 * their clock.
 */

#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched/signal.h>

#include "kthread.h"

struct task_struct *async_domain_torture_create(int (*func)(void *data), void *data, int number,
						bool bind)
{
	struct task_struct *task = kthread_create(func, data, "torture/%d", number);

	if (!IS_ERR(task)) {
		if (bind)
			kthread_bind(task, cpumask_nth(number % num_online_cpus(), cpu_online_mask));
		get_task_struct(task);
		wake_up_process(task);
	}
	return task;
}

void async_domain_torture_join(struct task_struct *task)
{
	kthread_stop_put(task);
}

unsigned int async_domain_torture_cpus(void)
{
	return num_online_cpus();
}

void async_domain_torture_allow_signals(void)
{
	allow_signal(SIGUSR1);
	allow_signal(SIGKILL);
}

bool async_domain_torture_fatal_signal(void)
{
	return fatal_signal_pending(current);
}

void async_domain_torture_flush_signals(void)
{
	flush_signals(current);
}

void async_domain_torture_send(struct task_struct *task, bool fatal)
{
	send_sig(fatal ? SIGKILL : SIGUSR1, task, 1);
}

void async_domain_torture_resched(void)
{
	cond_resched();
}

unsigned long async_domain_torture_jiffies(void)
{
	return jiffies;
}

bool async_domain_torture_going(void)
{
	return !module_is_live(THIS_MODULE);
}
