# SPDX-License-Identifier: GPL-2.0
#
# Everything that a person types. How the modules are built stands in Kbuild.

# The kernel to build for: its build directory.
KDIR ?= /lib/modules/$(shell uname -r)/build
# Where the results go, if not here.
O ?=

# What the kernel's build is told: what was said on our command line reaches it by itself (V, ARCH,
# LLVM, CLIPPY, INSTALL_MOD_PATH, -j ...), but for O, which means the kernel's output there.
MAKEOVERRIDES := $(filter-out O=% KDIR=%,$(MAKEOVERRIDES))
kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(O),MO=$(abspath $(O)))
out := $(if $(O),$(abspath $(O)),$(CURDIR))

RUSTC ?= rustc
RUSTDOC ?= rustdoc
RUSTFMT ?= rustfmt
export KUNIT TORTURE BENCH FAULTS SAMPLES
sources = $(filter-out %_generated.rs,$(wildcard rust/*.rs $(foreach dir,rust samples tests tools, \
	$(dir)/*/*.rs $(dir)/*/*/*.rs $(dir)/*/*/*/*.rs) samples/*.rs))

.PHONY: modules
modules: check-kernel
	+@$(kbuild) --no-print-directory modules

# A word of the shell.
quote = '$(subst ','\'',$(1))'

.PHONY: check-kernel check-path
check-kernel: check-path
	@tools/check-kernel $(call quote,$(KDIR))
check-path:
	@tools/lib/plain-path $(call quote,$(CURDIR)) $(call quote,$(O)) || { echo "async_domain: a kernel's build takes no" \
		"directory with spaces or special characters in its name: move $$(pwd) ('make run' and 'make test' work there," \
		"too: they build a copy)" >&2; exit 1; }

.PHONY: modules_install
# (A packaged kernel has no key to sign with.)
modules_install: check-kernel
	+@$(kbuild) --no-print-directory $(if $(wildcard $(KDIR)/certs/signing_key.*),,CONFIG_MODULE_SIG_ALL=) \
		modules_install
	@tools/install-crate $(KDIR) $(out)

.PHONY: clippy
clippy: check-kernel
	@rm -f $(addprefix $(out)/,rust/async_domain.o samples/*.o tools/torture/*.o tools/bench/*.o)
	+@$(kbuild) --no-print-directory CLIPPY=1 KRUSTFLAGS=-Dwarnings \
		$(if $(wildcard $(KDIR)/.clippy.toml),CLIPPY_CONF_DIR=$(realpath $(KDIR))) modules

.PHONY: fmt fmt-check
fmt:
	@$(RUSTFMT) --edition 2021 $(sources)
fmt-check:
	@$(RUSTFMT) --edition 2021 --check $(sources)

# Without KDIR=, with the stock kernel, in the reference userland.
.PHONY: doc
ifeq ($(origin KDIR),file)
doc:
	@tools/make/doc
else
doc: modules
	@tools/make/doc $(KDIR) $(out)
endif

# What editors want to know.
.PHONY: compile_commands.json rust-project.json
compile_commands.json: modules
	@tools/compile-commands $(KDIR) $(out)
rust-project.json: modules
	@tools/rust-project $(KDIR) $(out)

.PHONY: clean
clean: check-path
	@if [ -e $(KDIR)/Makefile ]; then $(kbuild) --no-print-directory clean; fi
	@rm -rf doc rust/bindings/bindgen_flags.mk

# --- The reference platform: what it needs it gets by itself ----------------------------------------

.PHONY: run timeline test bench faults unload torture attack model mutants matrix deb
test: arguments = $(SUITE)
unload: arguments = $(CYCLES)
torture: arguments = $(KERNEL)
attack: arguments = $(ATTACKS)
model: arguments = $(SCENARIO)
mutants: arguments = $(MUTANTS)
matrix: arguments = $(KERNELS)
run timeline test bench faults unload torture attack model mutants matrix deb:
	@set -f; tools/make/$@ $(arguments)

.PHONY: help
help:
	@echo 'In kernels and a userland of their own, for which nothing has to be there:'
	@echo '  run        Bring NVMe controllers up and down in QEMU (NVME=8: 1 to 64)'
	@echo '  test       Run the tests that take minutes (ALL=1: all; SUITE=name: one)'
	@echo '  timeline   Record by tracepoints what run does, and draw it'
	@echo '  bench      Measure side by side with what the kernel has'
	@echo '  torture    Do everything at once, for MINUTES=10 (in the kernel KERNEL=stock)'
	@echo '  faults     Take memory, workers and CPUs away'
	@echo '  unload     Unload modules with work in flight, CYCLES=1000 times'
	@echo '  attack     Misuse the library in safe code (ATTACKS="names": some)'
	@echo '  model      Explore all interleavings (SCENARIO=name: of one scenario)'
	@echo '  mutants    Break the library on purpose; a test must notice (MUTANTS="names")'
	@echo '  matrix     Build and test for every kernel (KERNELS="names": some)'
	@echo '  doc        Make the manual and the reference, in doc/'
	@echo '  deb        Make a Debian package, from which DKMS builds the library'
	@echo 'More variables of NAME are at the top of tools/make/NAME.'
	@echo "For a kernel that is there (KDIR=its build directory, or the running one):"
	@echo '  modules, modules_install, clean, clippy, fmt, fmt-check, doc'
	@echo '             As one expects; modules_install has what drivers need, too'
	@echo '  rust-project.json, compile_commands.json: for rust-analyzer and clangd'
	@echo '  O=dir      Put there what is built (KUNIT=1: with suites, SAMPLES=n: alone)'
	@echo '  ARCH, LLVM, V, INSTALL_MOD_PATH: as in the kernel'
	@echo '  ALLOW_UNSUPPORTED_KERNEL=1: try another kernel than $(shell cat tools/supported-kernels)'
	@echo 'tools/install-into-tree SOURCE installs all into the source tree of a kernel.'
