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

.PHONY: check-kernel
check-kernel:
	@tools/check-kernel $(KDIR)

.PHONY: modules_install
# (A packaged kernel has no key to sign with.)
modules_install: check-kernel
	+@$(kbuild) --no-print-directory $(if $(wildcard $(KDIR)/certs/signing_key.*),,CONFIG_MODULE_SIG_ALL=) \
		modules_install
	@tools/install-crate $(KDIR) $(out)

.PHONY: clippy
clippy: check-kernel
	@rm -f $(out)/rust/async_domain.o $(out)/samples/*.o $(out)/tools/torture/*.o $(out)/tools/bench/*.o
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
	@tools/doc
else
doc: modules
	@tools/doc $(KDIR) $(out)
endif

# What editors want to know.
.PHONY: compile_commands.json rust-project.json
compile_commands.json: modules
	@tools/compile-commands $(KDIR) $(out)
rust-project.json: modules
	@tools/rust-project $(KDIR) $(out)

.PHONY: clean
clean:
	@if [ -e $(KDIR)/Makefile ]; then $(kbuild) --no-print-directory clean; fi
	@rm -rf doc rust/bindings/bindgen_flags.mk

# --- The reference platform: what it needs it gets by itself ----------------------------------------

.PHONY: run timeline test bench faults unload torture model mutants matrix deb
run:
	@tools/run
timeline:
	@tools/timeline
test:
	@tools/test $(SUITE)
bench:
	@tools/bench-run
faults:
	@tools/faults-run
unload:
	@tools/unload-run $(CYCLES)

torture:
	@tools/torture-run $(KERNEL)
model:
	@tools/explore $(SCENARIO)
mutants:
	@tools/mutate $(MUTANTS)
matrix:
	@tools/matrix $(KERNELS)
deb:
	@tools/deb

.PHONY: help
help:
	@echo 'Commands that need nothing but this checkout:'
	@echo '  run              - Bring NVMe controllers up and down (NVME=8, 1 to 64) in a stock kernel in QEMU'
	@echo '  timeline         - Record that by tracepoints and draw it (NVME=8, TRACE=file, OUT=dir, UPDATE=1: see tools/timeline)'
	@echo '  test             - Run all tests there and in a debug kernel; SUITE=name for some'
	@echo '  torture          - Torture the library there (MINUTES=10, CPUS=4, SEED=, PARAMETERS=), in the stock kernel'
	@echo '                     or KERNEL=debug and others that tools/modules knows'
	@echo '  faults           - Let allocations fail, and take workers and CPUs away'
	@echo '  unload           - Unload modules with work in flight, CYCLES=1000 times'
	@echo '  model            - Explore all interleavings of the wait queues and the order (SCENARIO=name)'
	@echo '  mutants          - Break the library on purpose, and see that a test notices (MUTANTS=names)'
	@echo '  bench            - Measure there, side by side with the kernel; WORKLOADS=abcdefghi SIZES=64,900'
	@echo '                     REPEATS=5 CPUS=2 FREE=1 STRICT=1 BASELINE=file.json UPDATE=1 OUT=dir: see tools/bench-run'
	@echo '  doc              - Make the manual and the reference in doc/, in HTML (with KDIR=, for that kernel)'
	@echo '  matrix           - Build, load and test on all kernels; KERNELS="rt llvm" for some'
	@echo '  deb              - Make a Debian package, which builds the library by DKMS (OUT=dir)'
	@echo ''
	@echo 'Building for a kernel (KDIR=, by default that of the running one):'
	@echo '  modules          - Build the library and the samples (default)'
	@echo '  modules_install  - Install them, and what drivers need that use the library'
	@echo '  clippy           - Build with clippy, warnings being errors'
	@echo '  rust-project.json, compile_commands.json - Make them, for rust-analyzer and clangd'
	@echo '  tools/install-into-tree SOURCE - Install library, suites and samples into the source tree of a kernel'
	@echo '  clean            - Remove what was built'
	@echo '  fmt, fmt-check   - Format the sources, or see whether they are'
	@echo ''
	@echo 'Variables:'
	@echo '  KDIR=dir         - Build directory of the kernel to build for'
	@echo '  O=dir            - Put what is built there'
	@echo '  KUNIT=1          - Build the KUnit suites into the library (make test does)'
	@echo '  SAMPLES=n        - Leave the samples out'
	@echo '  V=1              - Show all commands'
	@echo '  ARCH, LLVM, CLIPPY, INSTALL_MOD_PATH - As in the kernel'
	@echo '  ALLOW_UNSUPPORTED_KERNEL=1 - Try a kernel other than: $(shell cat tools/supported-kernels)'
