// SPDX-License-Identifier: GPL-2.0
/*
 * Init function and module object of the library where it is built into the kernel.
 */

#include <linux/init.h>
#include <linux/module.h>
#include <linux/panic.h>

extern struct module __this_module;
int async_domain_builtin_init(void);

/*
 * Stands for the kernel wherever code of the library that is compiled into a module would name that module: a
 * module that is never unloaded. It is in no list, and not exported: each module has a __this_module of its own.
 */
struct module __this_module = {
	.state = MODULE_STATE_LIVE,
	.name = "vmlinux",
#ifdef CONFIG_MODULE_UNLOAD
	/* As module_unload_init() has it: zero would mean that the module goes. */
	.refcnt = ATOMIC_INIT(1),
#endif
};

static int __init async_domain_init(void)
{
	int ret = async_domain_builtin_init();

	/* Built-in users would fail later. */
	if (ret)
		panic("async_domain: cannot be initialised (%d)", ret);
	return 0;
}
core_initcall(async_domain_init);

MODULE_DESCRIPTION("Filtered wait queues and async domains for Rust drivers");
MODULE_LICENSE("GPL");
