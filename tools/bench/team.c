// SPDX-License-Identifier: GPL-2.0
/*
 * A team of kernel threads that each wait for something and are then measured.
 *
 * A thread calls its function, which waits, and then sleeps until the team is destroyed: its own end
 * costs much more than a wakeup, and is not what is measured. What it has used is read while it
 * sleeps, since the scheduler's counters are exact then.
 */

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "bench.h"

struct member {
	struct bench_team *team;
	struct task_struct *task;
};

struct bench_team {
	void (*func)(void *data, unsigned int index);
	void *data;
	atomic_t released;
	ktime_t end;
	struct completion all_released;
	unsigned int nr;
	struct member members[];
};

static int member_thread(void *data)
{
	struct member *member = data;
	struct bench_team *team = member->team;

	team->func(team->data, member - team->members);

	if (atomic_inc_return(&team->released) == team->nr) {
		team->end = ktime_get();
		complete(&team->all_released);
	}
	for (;;) {
		set_current_state(TASK_IDLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* The first of the threads are there, and their function has returned or will. */
static void stop(struct bench_team *team, unsigned int nr)
{
	while (nr--)
		kthread_stop_put(team->members[nr].task);
	kvfree(team);
}

/*
 * Starts threads, on one CPU if that is not negative, and returns when all of them sleep. If there
 * cannot be so many then none is started.
 */
struct bench_team *bench_team_create(unsigned int nr, int cpu,
				     void (*func)(void *data, unsigned int index), void *data)
{
	struct bench_team *team;

	team = kvzalloc(struct_size(team, members, nr), GFP_KERNEL);
	if (!team)
		return ERR_PTR(-ENOMEM);
	team->func = func;
	team->data = data;
	team->nr = nr;
	init_completion(&team->all_released);

	for (unsigned int i = 0; i < nr; i++) {
		struct member *member = &team->members[i];

		member->team = team;
		member->task = kthread_create(member_thread, member, "bench/%u", i);
		if (IS_ERR(member->task)) {
			void *error = member->task;

			/* A thread that has never been woken ends without having called anything. */
			stop(team, i);
			return error;
		}
		get_task_struct(member->task);
		if (cpu >= 0)
			kthread_bind(member->task, cpu);
	}
	for (unsigned int i = 0; i < nr; i++)
		wake_up_process(team->members[i].task);
	bench_team_settle(team);
	return team;
}

static bool is_asleep(struct task_struct *task)
{
	unsigned int state = READ_ONCE(task->__state);

	/* A thread that is woken from another CPU is on no runqueue for a while. */
	return state != TASK_RUNNING && state != TASK_WAKING && !READ_ONCE(task->on_rq);
}

/* Returns when every thread sleeps. */
void bench_team_settle(struct bench_team *team)
{
	for (unsigned int i = 0; i < team->nr; i++)
		while (!is_asleep(team->members[i].task))
			bench_pause();
}

/* How many threads have returned from their function. */
unsigned int bench_team_released(struct bench_team *team)
{
	return atomic_read(&team->released);
}

/* Waits until all threads have returned from their function, and says when the last one did. */
s64 bench_team_wait_released(struct bench_team *team)
{
	wait_for_completion(&team->all_released);
	return ktime_to_ns(team->end);
}

/* What all threads together have used so far. They sleep. */
void bench_team_usage(struct bench_team *team, struct bench_usage *usage)
{
	usage->switches = 0;
	usage->cpu_ns = 0;
	for (unsigned int i = 0; i < team->nr; i++) {
		struct task_struct *task = team->members[i].task;

		usage->switches += READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
		usage->cpu_ns += READ_ONCE(task->se.sum_exec_runtime);
	}
}

/* All threads have returned from their function, or will by themselves. */
void bench_team_destroy(struct bench_team *team)
{
	stop(team, team->nr);
}

/* Moves the calling thread to a CPU. */
int bench_pin_to_cpu(int cpu)
{
	return set_cpus_allowed_ptr(current, cpumask_of(cpu));
}

void bench_unpin(void)
{
	set_cpus_allowed_ptr(current, cpu_possible_mask);
}

void bench_preempt_disable(void)
{
	preempt_disable();
}

void bench_preempt_enable(void)
{
	preempt_enable();
}

/* Lets others run. */
void bench_pause(void)
{
	usleep_range(20, 40);
}
