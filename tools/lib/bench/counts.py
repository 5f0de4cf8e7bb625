# SPDX-License-Identifier: GPL-2.0
"""What a task of workload c costs besides time: locks, allocations and bytes, counted by the kernel's tracing.

A run of the bench module does more than submit tasks: it is loaded, makes ready, warms up, and all the while
the kernel has other things to do. So what a task costs is the difference between two runs that differ in nothing but
the number of measured rounds, divided by the tasks of the rounds that one has more. A round has thousands of tasks, so
that what it does once does not count.
"""

import re

from results import ANNOUNCEMENT, PAIR, PREFIX, Incomplete

SIZE = 4096
REPEATS = (1, 3)
# What the guest calls it, and what it is called here.
NAMES = {"locks": "locks", "hitcount": "allocations", "bytes_req": "bytes", "bytes_alloc": "bytes_with_padding"}
COUNTED = re.compile(r"counted (\w+) (\d+)$")


def runs(sides):
    for side in sides:
        for repeats in REPEATS:
            yield f"workloads=c sides={side} sizes={SIZE} repeats={repeats}"


def per_run(lines):
    """{(side, repeats): ({what: how often}, tasks in a round)} out of the log."""
    found, run = {}, None
    for line in (line.rstrip("\r\n") for line in lines):
        counted = COUNTED.match(line)
        pairs = dict(PAIR.findall(line))
        if line.startswith(ANNOUNCEMENT):
            run = pairs["sides"], int(pairs["repeats"])
            before, counts, sizes = {}, {}, []
            found[run] = counts, sizes
        elif run and counted:
            name, value = counted.groups()
            if name in before:
                counts[NAMES[name]] = int(value) - before[name]
            before[name] = int(value)
        elif run and line.startswith(PREFIX + "result"):
            # The module may measure other sizes besides.
            if (pairs["metric"], pairs["repeat"]) == ("ns_per_task", "0"):
                sizes.append(int(pairs["n"]))
        elif line.startswith(PREFIX) and line != PREFIX + "finished":
            raise Incomplete(f"counting: {line}")
    return {run: (counts, sum(sizes)) for run, (counts, sizes) in found.items()}


def parse(lines):
    """{side: {what: how much per task}}."""
    found = per_run(lines)
    if not found:
        raise Incomplete("nothing was counted")
    result = {}
    for side in dict.fromkeys(side for side, _ in found):
        (few, tasks), (many, same) = (found.get((side, repeats), ({}, 0)) for repeats in REPEATS)
        if not tasks or tasks != same or not few.keys() == many.keys() == set(NAMES.values()):
            raise Incomplete(f"the counts of {side} are not complete")
        result[side] = {name: round((many[name] - few[name]) / (REPEATS[1] - REPEATS[0]) / tasks, 2) for name in few}
    return result
