# SPDX-License-Identifier: GPL-2.0
"""The workloads and the targets, as data: what is measured, against what, and what is to be reached."""

import dataclasses

SIZES = [64, 256, 900, 4096]

# The sides, in the order in which they are shown.
SIDES = {
    "kernel": "kernel/async.c",
    "patch2025": "patch of 2025",
    "queue_work": "queue_work()",
    "queue_work_alloc": "allocation, queue_work()",
    "domain": "domain",
    "closure": "closure",
    "item": "item (own memory)",
    "ordered": "ordered form",
    "token": "token",
    "item_token": "token (own memory)",
    "keyed": "WaitTable",
    "wait_var": "wait_var_event()",
    "ring": "CompletionRing",
    "counter": "EventCounter",
    "wake_all": "wake all",
    "rust": "Rust",
    "c": "by hand in C",
    "limit": "limit",
}
# Those that are not this project's code.
FOREIGN = {"kernel", "patch2025", "queue_work", "queue_work_alloc", "wait_var", "wake_all", "c", "limit"}

METRICS = {
    "waiter_cpu_ns": "CPU time of all waiters",
    "switches": "switches",
    "ns_per_task": "time per task",
    "bytes_per_task": "bytes brought",
    "ns_per_completion": "time per completion",
    "ns_per_wake": "time of a wake-up of nobody",
    "ns_per_roundtrip": "there and back",
    "wakeups": "wake-ups",
    "spurious": "spurious",
    "skipped": "looked at",
    "workers_peak": "most workers",
    "ns_per_wake_0": "wakes nobody",
    "ns_per_wake_1": "wakes 1",
    "ns_per_wake_16": "wakes 16",
    "ns_per_wake_all": "wakes all",
}
# The same as another one.
HIDDEN = {"ns"}

# What is counted for workload c, and for which sides.
COUNTED_SIDES = ["kernel", "queue_work", "queue_work_alloc", "closure", "item", "token", "item_token"]
COUNTS = {
    "locks": "locks taken",
    "allocations": "allocations",
    "bytes": "bytes asked for",
    "bytes_with_padding": "bytes allocated",
}


# How many come in workload h.
EVENTS = 1024


@dataclasses.dataclass(frozen=True)
class Workload:
    title: str
    # The metric that is drawn and compared.
    cost: str
    # The side that the others are related to.
    reference: str
    # What n is, and is drawn on the horizontal axis.
    axis: str = "n"


@dataclasses.dataclass(frozen=True)
class Target:
    """Something to reach, at one n or at (low, high). The kinds:

    per n    the metric of the side, divided by n
    ratio    the metric of the side, divided by that of the reference
    flat     how much the metric of the side at high differs from that at low
    value    the metric of the side
    share    the metric of the side, of what it would be if each n of EVENTS events were one
    per CPU  the metric of the side, less the number of CPUs
    """

    workload: str
    text: str
    kind: str
    metric: str
    side: str
    most: float
    n: object = None
    reference: str = ""
    # Whether it counts events, which are the same on every machine: make test asserts these.
    exact: bool = False


WORKLOADS = {
    "a": Workload("staircase, completions spaced", "waiter_cpu_ns", "kernel"),
    "b": Workload("staircase in one burst", "ns_per_task", "kernel"),
    "c": Workload("nobody waits", "ns_per_task", "kernel"),
    "d": Workload("completions in reverse order", "ns_per_completion", "kernel", "waiters"),
    "e": Workload("many domains, activity in one", "ns_per_task", "kernel", "domains"),
    "f": Workload("each task ends with an in-order part", "ns_per_task", "kernel"),
    "g": Workload("waits by key on a shared table", "ns_per_wake", "wait_var", "waiters for other keys"),
    "h": Workload("threshold waits", "wakeups", "wake_all", "events that the consumer needs"),
    "i": Workload("the wake path by hand", "ns_per_wake_all", "c"),
}

TARGETS = [
    Target("a", "context switches of the waiters, per waiter", "per n", "switches", "domain", 1.01, exact=True),
    Target(
        "a", "CPU time of the waiters, of kernel/async.c's",
        "ratio", "waiter_cpu_ns", "domain", 1 / 300, 900, "kernel",
    ),
    Target("b", "time, of kernel/async.c's", "ratio", "ns_per_task", "domain", 0.50, 900, "kernel"),
    Target("b", "time, of the patch's of 2025", "ratio", "ns_per_task", "domain", 0.28, 900, "patch2025"),
    Target("b", "time per task, change from n = 64 to 4,096", "flat", "ns_per_task", "domain", 0.10, (64, 4096)),
    Target("c", "closure, of kernel/async.c", "ratio", "ns_per_task", "closure", 0.80, None, "kernel"),
    Target(
        "c", "item in the caller's memory, of kernel/async.c",
        "ratio", "ns_per_task", "item", 0.62, None, "kernel",
    ),
    Target(
        "c", "item, of bare queue_work() of the same memory",
        "ratio", "ns_per_task", "item", 1.10, None, "queue_work",
    ),
    Target(
        "c", "token in the caller's memory, of kernel/async.c",
        "ratio", "ns_per_task", "item_token", 0.15, None, "kernel",
    ),
    Target(
        "d", "a completion in a domain, change from 0 to 4,096 waiters",
        "flat", "ns_per_completion", "domain", 0.05, (0, 4096),
    ),
    Target(
        "d", "that of a token, change from 0 to 4,096 waiters",
        "flat", "ns_per_completion", "token", 0.05, (0, 4096),
    ),
    Target("e", "time per task, change from 1 to 256 domains", "flat", "ns_per_task", "domain", 0.05, (1, 256)),
    Target("e", "waiters of other domains that are woken", "value", "wakeups", "domain", 0, exact=True),
    Target("e", "waiters of other domains that are looked at", "value", "skipped", "domain", 0, exact=True),
    Target("f", "ordered form, of kernel/async.c", "ratio", "ns_per_task", "ordered", 0.50, 256, "kernel"),
    Target(
        "f", "workers of the ordered form beyond the number of CPUs",
        "per CPU", "workers_peak", "ordered", 4, exact=True,
    ),
    Target("g", "spurious wake-ups", "value", "spurious", "keyed", 0, exact=True),
    Target("g", "a wake-up of nobody, of wake_up_var()", "ratio", "ns_per_wake", "keyed", 1.0, None, "wait_var"),
    Target("g", "there and back, of wait_var_event()", "ratio", "ns_per_roundtrip", "keyed", 1.0, None, "wait_var"),
    Target("h", "CompletionRing: wake-ups, of events / min_nr", "share", "wakeups", "ring", 1.0, exact=True),
    Target("h", "EventCounter: wake-ups, of events / min_nr", "share", "wakeups", "counter", 1.0, exact=True),
    *(
        Target("i", f"a wake-up that {METRICS[metric]}, of the same in C", "ratio", metric, "rust", 1.05, None, "c")
        for metric in ("ns_per_wake_0", "ns_per_wake_1", "ns_per_wake_16", "ns_per_wake_all")
    ),
]
