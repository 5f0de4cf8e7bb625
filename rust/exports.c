// SPDX-License-Identifier: GPL-2.0
/*
 * Exports the Rust symbols of async_domain.ko and its C helpers to other modules, as
 * rust/exports.c of the kernel does for its crates: the list is made out of nm by Kbuild.
 */

#include <linux/export.h>

#define EXPORT_SYMBOL_RUST_GPL(sym) extern int sym; EXPORT_SYMBOL_GPL(sym)

#include "exports_generated.h"
