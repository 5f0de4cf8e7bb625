# SPDX-License-Identifier: GPL-2.0
# What the guest's jobs share. They begin with ". /lib.sh".

set -eu

fail() { echo "FAILED: $*"; exit 1; }

# load MODULE.ko PARAMETERS...
load() { insmod "$@" || fail "insmod $*"; }

# unload MODULE
unload() { rmmod "$1" || fail "rmmod $1"; }

# gone MODULE: unloads it as soon as its tasks are done: until then that is refused. Counts in $refused.
refused=0
gone() {
	tries=0
	while grep -q "^$1 " /proc/modules && ! rmmod "$1" 2>/tmp/refusal; do
		case $(cat /tmp/refusal) in
		*temporarily\ unavailable* | *busy* | *No\ such\ file*) ;;
		*) fail "rmmod $1: $(cat /tmp/refusal)" ;;
		esac
		refused=$((refused + 1)) tries=$((tries + 1))
		[ $tries -lt 50000 ] || fail "rmmod $1 is refused for ever"
		usleep 3000
	done
}

# kmsg TEXT: a line in the kernel's log, by which the host finds its way.
kmsg() { echo "async_domain: $*" >/dev/kmsg; }

# nvme_devices: the NVMe controllers in PCI order.
nvme_devices() {
	for device in /sys/bus/pci/devices/*; do
		[ "$(cat "$device/class")" != 0x010802 ] || echo "$device"
	done
}

# give_nvme DRIVER: reserves every NVMe controller for the driver, as one would on a real machine.
give_nvme() {
	for device in $(nvme_devices); do
		echo "$1" >"$device/driver_override"
	done
}

# leaks: fails if kmemleak finds any. An object counts after five seconds, and once two scans agree.
leaks() {
	[ -e /sys/kernel/debug/kmemleak ] || fail "this kernel has no kmemleak"
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	sleep 1
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak
	[ -z "$(cat /sys/kernel/debug/kmemleak)" ] || fail "kmemleak found the above"
}
