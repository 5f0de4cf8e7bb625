// SPDX-License-Identifier: GPL-2.0
/*
 * Functions for macros and inline functions of the kernel that the kernel crate lacks. They decide
 * nothing. Their prototypes reach Rust through bindgen.
 */

#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/kdebug.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>

#include "helpers.h"

DEFINE_SPINLOCK(async_domain_registry_lock);
DEFINE_SPINLOCK(async_domain_dispatcher_lock);
/* A raw one, since a thread takes it that dies, perhaps with interrupts off. */
DEFINE_RAW_SPINLOCK(async_domain_spill_lock);

unsigned long async_domain_helper_spin_lock_irqsave(spinlock_t *lock)
{
	unsigned long flags;

	spin_lock_irqsave(lock, flags);
	return flags;
}

void async_domain_helper_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	spin_unlock_irqrestore(lock, flags);
}

unsigned long async_domain_helper_raw_spin_lock_irqsave(raw_spinlock_t *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	return flags;
}

void async_domain_helper_raw_spin_unlock_irqrestore(raw_spinlock_t *lock, unsigned long flags)
{
	raw_spin_unlock_irqrestore(lock, flags);
}

void async_domain_helper_set_current_state(unsigned int state)
{
	set_current_state(state);
}

bool async_domain_safe_signal_pending_state(unsigned int state)
{
	return signal_pending_state(state, current);
}

/* As io_schedule_prepare() and io_schedule_finish() do. (The plug, schedule() flushes.) */
bool async_domain_safe_set_in_iowait(bool in_iowait)
{
	bool before = current->in_iowait;

	current->in_iowait = in_iowait;
	return before;
}

s64 async_domain_safe_ktime_get(void)
{
	return ktime_get();
}

bool async_domain_safe_in_task(void)
{
	return in_task();
}

bool async_domain_safe_preemptible(void)
{
	return preemptible();
}

void async_domain_safe_cond_resched(void)
{
	cond_resched();
}

void async_domain_safe_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}

int async_domain_helper_register_die_notifier(struct notifier_block *block)
{
	return register_die_notifier(block);
}

int async_domain_helper_unregister_die_notifier(struct notifier_block *block)
{
	return unregister_die_notifier(block);
}

/* The numbers are the architecture's. */
bool async_domain_safe_is_oops(unsigned long event)
{
	return event == DIE_OOPS;
}

void __noreturn async_domain_helper_panic(const char *reason)
{
	panic("async_domain: %s", reason);
}

int async_domain_helper_dev_to_node(struct device *dev)
{
	return dev_to_node(dev);
}

const struct bus_type *async_domain_helper_dev_bus(struct device *dev)
{
	return dev->bus;
}

enum dl_dev_state async_domain_helper_dev_links_status(struct device *dev)
{
	return READ_ONCE(dev->links.status);
}

/* See really_probe(). */
bool async_domain_helper_dev_tests_removal(struct device *dev)
{
	return IS_ENABLED(CONFIG_DEBUG_TEST_DRIVER_REMOVE) && !dev->driver->suppress_bind_attrs;
}

void async_domain_helper_list_add(struct list_head *entry, struct list_head *prev)
{
	list_add(entry, prev);
}

void async_domain_helper_list_del_init(struct list_head *entry)
{
	list_del_init(entry);
}

void async_domain_helper_list_del_init_careful(struct list_head *entry)
{
	list_del_init_careful(entry);
}

bool async_domain_helper_list_empty_careful(struct list_head *entry)
{
	return list_empty_careful(entry);
}

unsigned int async_domain_safe_jiffies_to_msecs(unsigned long ticks)
{
	return jiffies_to_msecs(ticks);
}

void async_domain_helper_get_task_comm(char (*comm)[TASK_COMM_LEN], struct task_struct *task)
{
	get_task_comm(*comm, task);
}

const char *async_domain_helper_module_name(struct module *module)
{
	return module_name(module);
}

void async_domain_helper_report_task(u64 cookie, int length, const char *stage, unsigned int age,
				     int pid, const void *code, bool inside)
{
	pr_warn("async_domain:   %llu %.*s for %u.%03u s, thread %d, ", cookie, length, stage,
		age / 1000, age % 1000, pid);
	if (inside)
		pr_cont("begun at %pS\n", code);
	else
		pr_cont("%ps\n", code);
}

void async_domain_helper_lockdep_init_map(struct lockdep_map *map, const char *name,
					  struct lock_class_key *key)
{
	lockdep_init_map(map, name, key, 0);
}

void async_domain_helper_lockdep_copy_map(struct lockdep_map *to, struct lockdep_map *from)
{
#ifdef CONFIG_LOCKDEP
	lockdep_copy_map(to, from);
#endif
}

void async_domain_helper_lock_map_acquire(struct lockdep_map *map)
{
	lock_map_acquire(map);
}

void async_domain_helper_lock_map_release(struct lockdep_map *map)
{
	lock_map_release(map);
}

/*
 * Gives a lock another class, though others may be about to take it. They use the class that is cached until that
 * is cleared, which comes last; lockdep_init_map() would clear it first.
 */
void async_domain_helper_lockdep_reclass(struct lockdep_map *map, const char *name,
					 struct lock_class_key *key)
{
#ifdef CONFIG_LOCKDEP
	int i;

	WRITE_ONCE(map->name, name);
	WRITE_ONCE(map->key, key);
	smp_wmb();
	for (i = 0; i < NR_LOCKDEP_CACHING_CLASSES; i++)
		WRITE_ONCE(map->class_cache[i], NULL);
#endif
}

void async_domain_helper_wait_queue_reclass(struct wait_queue_head *head, const char *name,
					    struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	async_domain_helper_lockdep_reclass(&head->lock.dep_map, name, key);
#endif
}

/* As printk_legacy_allow_spinlock_enter() of kernel/printk/printk.c, and for the same reason. */
static DEFINE_WAIT_OVERRIDE_MAP(spinlock_map, LD_WAIT_CONFIG);

void async_domain_safe_allow_spinlock_enter(void)
{
	lock_map_acquire_try(&spinlock_map);
}

void async_domain_safe_allow_spinlock_exit(void)
{
	lock_map_release(&spinlock_map);
}

#ifdef ASYNC_DOMAIN_KUNIT
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/nodemask.h>
#include <linux/topology.h>

struct task_struct *async_domain_helper_kthread_create(int (*fn)(void *data), void *data)
{
	return kthread_create(fn, data, "async_domain_kunit");
}

unsigned long async_domain_helper_local_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}

void async_domain_helper_local_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

/* Fails the next allocation of this task that may not sleep (see fault-injection.rst, fail-nth). */
void async_domain_safe_fail_next_allocation(bool on)
{
#ifdef CONFIG_FAULT_INJECTION
	current->fail_nth = on ? 1 : 0;
#endif
}

bool async_domain_helper_is_sleeping(struct task_struct *task)
{
	unsigned int state = READ_ONCE(task->__state);

	return state != TASK_RUNNING && state != TASK_WAKING && !READ_ONCE(task->on_rq);
}

unsigned int async_domain_helper_task_state(struct task_struct *task)
{
	return READ_ONCE(task->__state);
}

bool async_domain_helper_in_iowait(struct task_struct *task)
{
	return task->in_iowait;
}

void async_domain_safe_allow_signal(int sig)
{
	allow_signal(sig);
}

int async_domain_safe_nr_online_nodes(void)
{
	return num_online_nodes();
}

int async_domain_safe_numa_node_id(void)
{
	return cpu_to_node(raw_smp_processor_id());
}

/* For KUnit's report. Nothing ends the case: what it has on its stack is to be dropped. */
void async_domain_helper_mark_test_skipped(const char *reason)
{
	struct kunit *test = kunit_get_current_test();

	if (test)
		kunit_mark_skipped(test, "%s", reason);
}
#endif
