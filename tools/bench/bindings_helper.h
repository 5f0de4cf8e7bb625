/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads for the benchmark: the kernel's async functions, which the kernel crate's
 * bindings lack, and the benchmark's own C parts.
 */

#include <linux/async.h>

#include "bench.h"
