/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads to make the bindings that the kernel crate lacks. Types come from the
 * kernel crate's own bindings, so that both sides speak of the same ones: only the functions
 * and variables named in ../../Kbuild are generated from here.
 */

#include "../helpers.h"
#include "../trace.h"
