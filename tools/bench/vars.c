// SPDX-License-Identifier: GPL-2.0
/*
 * Waits by key in C: variables that share a bucket of wait_var_event(), or a plain wait queue which
 * wakes all.
 *
 * A variable is 1 if what it stands for is there; the one who waits takes it.
 */

#include <linux/atomic.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>

#include "bench.h"

/* Enough that so many variables of each bucket are among them (see WAIT_TABLE_SIZE). */
#define CANDIDATES(nr) (512 * ((nr) + 8))

struct bench_vars {
	bool wake_all;
	struct wait_queue_head head;
	atomic_t *candidates;
	atomic_t *vars[];
};

struct bench_vars *bench_vars_create(unsigned int nr, bool wake_all)
{
	struct bench_vars *vars = kvzalloc(struct_size(vars, vars, nr), GFP_KERNEL);
	unsigned int found = 0;

	if (!vars)
		return NULL;
	vars->wake_all = wake_all;
	init_waitqueue_head(&vars->head);
	vars->candidates = kvcalloc(CANDIDATES(nr), sizeof(atomic_t), GFP_KERNEL);
	if (vars->candidates) {
		struct wait_queue_head *bucket = __var_waitqueue(&vars->candidates[0]);

		for (unsigned int i = 0; i < CANDIDATES(nr) && found < nr; i++)
			if (__var_waitqueue(&vars->candidates[i]) == bucket)
				vars->vars[found++] = &vars->candidates[i];
	}
	if (found < nr) {
		bench_vars_destroy(vars);
		return NULL;
	}
	return vars;
}

static bool take(atomic_t *var)
{
	return atomic_cmpxchg(var, 1, 0) == 1;
}

void bench_vars_wait(struct bench_vars *vars, unsigned int index)
{
	atomic_t *var = vars->vars[index];

	if (vars->wake_all)
		wait_event(vars->head, take(var));
	else
		wait_var_event(var, take(var));
}

void bench_vars_wake(struct bench_vars *vars, unsigned int index)
{
	atomic_t *var = vars->vars[index];

	atomic_set(var, 1);
	if (vars->wake_all) {
		wake_up_all(&vars->head);
	} else {
		/* Pairs with the barrier of prepare_to_wait_event(). */
		smp_mb();
		wake_up_var(var);
	}
}

void bench_vars_destroy(struct bench_vars *vars)
{
	kvfree(vars->candidates);
	kvfree(vars);
}
