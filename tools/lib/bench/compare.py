# SPDX-License-Identifier: GPL-2.0
"""What is slower, and what faster, than in an earlier run."""

import dataclasses

from workloads import FOREIGN


@dataclasses.dataclass
class Change:
    key: object
    before: object
    now: object

    @property
    def ratio(self):
        if self.before.median == 0:
            return float("inf")
        return self.now.median / self.before.median


def own(key):
    """Whether it is this project's code that was measured: the kernel's may differ as it likes."""
    return key.side not in FOREIGN


def changes(before, now, threshold):
    """(slower, faster): what has changed by more than the threshold, a part of 1, and beyond the spread: the middle
    halves of the two series do not touch. Less is better in everything that is measured."""
    slower, faster = [], []
    for key in sorted(before.series.keys() & now.series.keys()):
        if not own(key):
            continue
        old, new = before.series[key], now.series[key]
        change = Change(key, old, new)
        if new.median > old.median * (1 + threshold) and new.quartiles[0] > old.quartiles[1]:
            slower.append(change)
        elif new.median < old.median * (1 - threshold) and new.quartiles[1] < old.quartiles[0]:
            faster.append(change)
    return slower, faster


def obstacles(before, now):
    """Why the two cannot be compared, or only with care."""
    for name, what in (
        ("mode", "mode"),
        ("cpus", "number of CPUs"),
        ("kernel", "kernel"),
        ("qemu", "QEMU"),
    ):
        if before.about.get(name) != now.about.get(name):
            yield name in ("mode", "cpus"), f"another {what}: {before.about.get(name)} then, {now.about.get(name)} now"
    gone = [key for key in before.series if key not in now.series and own(key)]
    if gone:
        yield False, f"{len(gone)} of the earlier measurements were not made this time"
