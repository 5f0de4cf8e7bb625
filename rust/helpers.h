/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Prototypes of helpers.c, for the compiler and for bindgen. The prefix is taken off in the
 * bindings, as rust/Makefile of the kernel does with rust_helper_.
 *
 * A function with the prefix async_domain_safe_ is a safe one in Rust: with no arguments, and in no
 * context, does it do any harm to memory.
 */
#ifndef ASYNC_DOMAIN_HELPERS_H
#define ASYNC_DOMAIN_HELPERS_H

#include <linux/device.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/notifier.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

extern spinlock_t async_domain_registry_lock;
extern spinlock_t async_domain_dispatcher_lock;
extern raw_spinlock_t async_domain_spill_lock;

unsigned long async_domain_helper_spin_lock_irqsave(spinlock_t *lock);
void async_domain_helper_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags);
unsigned long async_domain_helper_raw_spin_lock_irqsave(raw_spinlock_t *lock);
void async_domain_helper_raw_spin_unlock_irqrestore(raw_spinlock_t *lock, unsigned long flags);

void async_domain_helper_set_current_state(unsigned int state);
bool async_domain_safe_signal_pending_state(unsigned int state);
bool async_domain_safe_set_in_iowait(bool in_iowait);
s64 async_domain_safe_ktime_get(void);
bool async_domain_safe_in_task(void);
bool async_domain_safe_preemptible(void);
void async_domain_safe_cond_resched(void);

void async_domain_safe_synchronize_rcu_tasks(void);

int async_domain_helper_register_die_notifier(struct notifier_block *block);
int async_domain_helper_unregister_die_notifier(struct notifier_block *block);
bool async_domain_safe_is_oops(unsigned long event);
void __noreturn async_domain_helper_panic(const char *reason);

int async_domain_helper_dev_to_node(struct device *dev);
const struct bus_type *async_domain_helper_dev_bus(struct device *dev);
enum dl_dev_state async_domain_helper_dev_links_status(struct device *dev);
bool async_domain_helper_dev_tests_removal(struct device *dev);

void async_domain_helper_list_add(struct list_head *entry, struct list_head *prev);
void async_domain_helper_list_del_init(struct list_head *entry);
void async_domain_helper_list_del_init_careful(struct list_head *entry);
bool async_domain_helper_list_empty_careful(struct list_head *entry);

unsigned int async_domain_safe_jiffies_to_msecs(unsigned long ticks);
void async_domain_helper_get_task_comm(char (*comm)[TASK_COMM_LEN], struct task_struct *task);
const char *async_domain_helper_module_name(struct module *module);

void async_domain_helper_report_task(u64 cookie, int length, const char *stage, unsigned int age,
				     int pid, const void *code, bool inside);

void async_domain_helper_lockdep_init_map(struct lockdep_map *map, const char *name,
					  struct lock_class_key *key);
void async_domain_helper_lockdep_copy_map(struct lockdep_map *to, struct lockdep_map *from);
void async_domain_helper_lockdep_reclass(struct lockdep_map *map, const char *name,
					 struct lock_class_key *key);
void async_domain_helper_wait_queue_reclass(struct wait_queue_head *head, const char *name,
					    struct lock_class_key *key);
void async_domain_helper_lock_map_acquire(struct lockdep_map *map);
void async_domain_helper_lock_map_release(struct lockdep_map *map);
void async_domain_safe_allow_spinlock_enter(void);
void async_domain_safe_allow_spinlock_exit(void);

/* Those of trace.c. */
void async_domain_helper_trace_task_submit(const void *domain, u64 cookie, const void *func,
					   const char *name);
void async_domain_helper_trace_task_start(const void *domain, u64 cookie, const void *func);
void async_domain_helper_trace_task_yield(const void *domain, u64 cookie);
void async_domain_helper_trace_task_ready(const void *domain, u64 cookie);
void async_domain_helper_trace_task_retire(const void *domain, u64 cookie);
void async_domain_helper_trace_task_cancel(const void *domain, u64 cookie);
void async_domain_helper_trace_task_error(const void *domain, u64 cookie, int error);
void async_domain_helper_trace_task_finish(const void *domain, u64 cookie, u64 frontier);
void async_domain_helper_trace_wait_queue(const void *queue, const struct wait_queue_entry *waiter,
					  u64 condition);
void async_domain_helper_trace_wait_wake(const void *queue, const struct wait_queue_entry *waiter,
					 u64 condition);
void async_domain_helper_trace_wait_skip(const void *queue, const struct wait_queue_entry *waiter,
					 u64 condition);
void async_domain_helper_trace_wait_spurious(const void *queue, const struct wait_queue_entry *waiter,
					 u64 condition);
void async_domain_helper_trace_wait_gone(const void *queue, const struct wait_queue_entry *waiter,
					 u64 condition);

#ifdef ASYNC_DOMAIN_KUNIT
struct task_struct;

struct task_struct *async_domain_helper_kthread_create(int (*fn)(void *data), void *data);
unsigned long async_domain_helper_local_irq_save(void);
void async_domain_helper_local_irq_restore(unsigned long flags);
void async_domain_safe_fail_next_allocation(bool on);
bool async_domain_helper_is_sleeping(struct task_struct *task);
unsigned int async_domain_helper_task_state(struct task_struct *task);
bool async_domain_helper_in_iowait(struct task_struct *task);
void async_domain_safe_allow_signal(int sig);
int async_domain_safe_nr_online_nodes(void);
int async_domain_safe_numa_node_id(void);
void async_domain_helper_mark_test_skipped(const char *reason);
#endif

#endif /* ASYNC_DOMAIN_HELPERS_H */
