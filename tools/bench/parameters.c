// SPDX-License-Identifier: GPL-2.0
/*
 * Parameters of the benchmark that are strings or lists, which the kernel crate does not have.
 */

#include <linux/module.h>
#include <linux/moduleparam.h>

#include "bench.h"

char *bench_workloads = "abcdefghi";
module_param_named(workloads, bench_workloads, charp, 0444);
MODULE_PARM_DESC(workloads, "Letters of the workloads to run (default: all)");

char *bench_sides = "";
module_param_named(sides, bench_sides, charp, 0444);
MODULE_PARM_DESC(sides, "Sides to run, separated by commas (default: all)");

unsigned int bench_sizes[BENCH_MAX_SIZES] = { 64, 256, 900, 4096 };
unsigned int bench_nr_sizes = 4;
module_param_array_named(sizes, bench_sizes, uint, &bench_nr_sizes, 0444);
MODULE_PARM_DESC(sizes, "Numbers of tasks, waiters or events (default: 64,256,900,4096)");

unsigned int bench_domains[BENCH_MAX_SIZES] = { 1, 8, 64, 256 };
unsigned int bench_nr_domains = 4;
module_param_array_named(domains, bench_domains, uint, &bench_nr_domains, 0444);
MODULE_PARM_DESC(domains, "Numbers of domains in workload e (default: 1,8,64,256)");

unsigned int bench_repeats = 5;
module_param_named(repeats, bench_repeats, uint, 0444);
MODULE_PARM_DESC(repeats, "Measurements of each kind (default: 5)");

static int set_run(const char *value, const struct kernel_param *param)
{
	return bench_run();
}

static const struct kernel_param_ops run_ops = { .set = set_run };
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "Write anything to run the workloads");
