/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C parts of the benchmark: parameters that are strings, threads that can be watched, and what
 * is compared with this project's Rust.
 */
#ifndef ASYNC_DOMAIN_BENCH_H
#define ASYNC_DOMAIN_BENCH_H

#include <linux/types.h>

/* parameters.c */

#define BENCH_MAX_SIZES 16

extern char *bench_workloads;
extern char *bench_sides;
extern unsigned int bench_sizes[BENCH_MAX_SIZES];
extern unsigned int bench_nr_sizes;
extern unsigned int bench_domains[BENCH_MAX_SIZES];
extern unsigned int bench_nr_domains;
extern unsigned int bench_repeats;

/* team.c */

struct bench_team;

struct bench_usage {
	u64 switches;
	u64 cpu_ns;
};

struct bench_team *bench_team_create(unsigned int nr, int cpu,
				     void (*func)(void *data, unsigned int index), void *data);
void bench_team_settle(struct bench_team *team);
unsigned int bench_team_released(struct bench_team *team);
s64 bench_team_wait_released(struct bench_team *team);
void bench_team_usage(struct bench_team *team, struct bench_usage *usage);
void bench_team_destroy(struct bench_team *team);

int bench_pin_to_cpu(int cpu);
void bench_unpin(void);
void bench_preempt_disable(void);
void bench_preempt_enable(void);
void bench_pause(void);

/* staircase.c */

struct bench_staircase;

struct bench_staircase *bench_staircase_create(void);
void bench_staircase_wait(struct bench_staircase *staircase, u64 target);
void bench_staircase_wake(struct bench_staircase *staircase, u64 reached);
void bench_staircase_destroy(struct bench_staircase *staircase);

/* async_core.c */

struct bench_async;

enum bench_async_kind {
	BENCH_ASYNC_PATCH2025,
	BENCH_ASYNC_LIMIT,
};

struct bench_async *bench_async_create(enum bench_async_kind kind);
u64 bench_async_schedule(struct bench_async *async, void (*func)(void *data, u64 cookie), void *data);
void bench_async_synchronize_cookie(struct bench_async *async, u64 cookie);
void bench_async_destroy(struct bench_async *async);

/* bench.rs */

int bench_run(void);

/* queue_work.c */

struct bench_queue;

struct bench_queue *bench_queue_create(unsigned int nr, void (*func)(void *data, u64), void *data);
void bench_queue_submit(struct bench_queue *queue);
int bench_queue_submit_allocated(struct bench_queue *queue);
void bench_queue_destroy(struct bench_queue *queue);
size_t bench_queue_item_size(void);

/* tokens.c */

u64 bench_bare_tokens(unsigned int nr);

/* vars.c */

struct bench_vars;

struct bench_vars *bench_vars_create(unsigned int nr, bool wake_all);
void bench_vars_wait(struct bench_vars *vars, unsigned int index);
void bench_vars_wake(struct bench_vars *vars, unsigned int index);
void bench_vars_destroy(struct bench_vars *vars);

/* events.c */

struct bench_events;

struct bench_events *bench_events_create(void);
void bench_events_wait(struct bench_events *events, u64 target);
void bench_events_post(struct bench_events *events);
void bench_events_destroy(struct bench_events *events);

#endif /* ASYNC_DOMAIN_BENCH_H */
