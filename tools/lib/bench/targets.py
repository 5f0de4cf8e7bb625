# SPDX-License-Identifier: GPL-2.0
"""Judges results by the targets."""

import dataclasses

from workloads import EVENTS


@dataclasses.dataclass
class Judgement:
    target: object
    # (n, measured), the worst of those that were measured, or None.
    worst: object

    @property
    def verdict(self):
        if self.worst is None:
            return "not measured"
        # What is counted is exact; what is computed from times is not more exact than four digits.
        return "reached" if round(self.worst[1], 4) <= self.target.most else "missed"


def points(results, target, side):
    """{n: median} of a side."""
    keys = results.select(workload=target.workload, side=side, metric=target.metric)
    return {key.n: results.series[key].median for key in keys}


def measured(results, target):
    """(n, value) wherever the target can be computed."""
    side = points(results, target, target.side)
    if target.kind == "flat":
        low, high = target.n
        if low in side and high in side and side[low]:
            yield f"{low}..{high}", abs(side[high] / side[low] - 1)
        return
    reference = points(results, target, target.reference)
    for n, value in side.items():
        if target.n not in (None, n):
            continue
        if target.kind == "per n":
            yield n, value / n
        elif target.kind == "value":
            yield n, value
        elif target.kind == "share":
            yield n, value * n / EVENTS
        elif target.kind == "per CPU":
            yield n, value - int(results.about["cpus"])
        elif target.kind == "ratio" and n in reference:
            # Nothing is no more than nothing.
            of = reference[n]
            yield n, value / of if of else (float("inf") if value else 0.0)


def judge(results, targets):
    return [
        Judgement(target, max(measured(results, target), key=lambda point: point[1], default=None))
        for target in targets
    ]
