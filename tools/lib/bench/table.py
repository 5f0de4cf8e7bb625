# SPDX-License-Identifier: GPL-2.0
"""Results as tables: rows of text, for the terminal and for the documentation."""

import math

from workloads import COUNTS, HIDDEN, METRICS, SIDES, WORKLOADS


def quantity(value, unit):
    """A value with four digits at most, in a unit of fitting size."""
    if unit == "ns":
        for limit, divisor, name in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms"), (math.inf, 1e9, "s")):
            if abs(value) < limit:
                return f"{figure(value / divisor)} {name}"
    return figure(value)


def figure(value):
    if value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 3 - int(math.floor(math.log10(abs(value)))))}f}"


def percent(value):
    return "∞" if value == math.inf else f"{100 * value:.1f} %"


def ratio(value):
    if 0 < value < 0.01:
        return f"1/{1 / value:.0f}"
    return "∞" if value == math.inf else f"{value:.3g}"


def related(series, reference):
    """A series in relation to another."""
    if not reference:
        return ""
    if reference.median == 0:
        return "1" if series.median == 0 else "∞"
    return ratio(series.median / reference.median)


def side_name(side):
    return SIDES.get(side, side)


def workload_rows(results, letter):
    """The rows of a workload's table, the first being the heading. (What n is, its title or axis says.)"""
    workload = WORKLOADS[letter]
    keys = results.select(workload=letter)
    others = sorted({key.metric for key in keys} - {workload.cost} - HIDDEN)
    rows = [["n", "side", METRICS[workload.cost], "spread", "ratio"]]
    rows[0] += [METRICS.get(metric, metric) for metric in others]
    order = list(SIDES)
    places = sorted(
        {(key.n, key.side) for key in keys},
        key=lambda place: (place[0], order.index(place[1]) if place[1] in order else len(order), place[1]),
    )
    for n, side in places:
        cost = results.get(letter, side, n, workload.cost)
        reference = results.get(letter, workload.reference, n, workload.cost)
        row = [f"{n:,}", side_name(side)]
        if cost:
            row += [quantity(cost.median, cost.unit), percent(cost.spread)]
            row.append(related(cost, reference))
        else:
            row += ["", "", ""]
        for metric in others:
            series = results.get(letter, side, n, metric)
            row.append(quantity(series.median, series.unit) if series else "")
        rows.append(row)
    return rows


def heading(letter):
    workload = WORKLOADS[letter]
    return f"{letter}: {workload.title}" + ("" if workload.axis == "n" else f" (n: {workload.axis})")


def target_rows(judgements):
    rows = [["", "target", "at", "measured", "to reach", "verdict"]]
    for judgement in judgements:
        target = judgement.target
        show = percent if target.kind == "flat" else ratio
        at, value = judgement.worst or ("", None)
        rows.append(
            [
                target.workload,
                target.text,
                at if isinstance(at, str) else f"{at:,}",
                "" if value is None else show(value),
                "≤ " + show(target.most),
                judgement.verdict,
            ]
        )
    return rows


def count_rows(results):
    """Per task of workload c."""
    rows = [["per task"] + list(COUNTS.values())]
    for side, counts in results.counts.items():
        rows.append([side_name(side)] + [f"{counts[name]:.2f}" if name in counts else "" for name in COUNTS])
    return rows


def aligned(rows, left=()):
    """Lines of a table whose columns are as wide as they must be; numbers stand right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [
            cell.ljust(width) if rows[0][number] in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths))
        ]
        yield "  ".join(cells).rstrip()


WORDS = ("", "side", "target", "verdict", "per task")


def about(results):
    """What was measured on, in a sentence."""
    told = results.about
    mode = {
        "icount": "counting instructions (a guest's nanosecond is an instruction)",
        "free": "virtual CPUs running freely: figures vary with the load of the machine",
    }[told["mode"]]
    return (
        f"{told['date']}, commit {told['commit']}, Linux {told['kernel']}, QEMU {told['qemu']}, "
        f"{told['cpus']} CPUs, {mode}"
    )


def everything(results, judgements):
    """All tables, as lines."""
    yield about(results)
    for letter in results.workloads():
        yield ""
        yield heading(letter)
        yield from aligned(workload_rows(results, letter), left=WORDS)
    if results.counts:
        yield ""
        yield "c: what a task costs besides time"
        yield from aligned(count_rows(results), left=WORDS)
    if judgements:
        yield ""
        yield from aligned(target_rows(judgements), left=WORDS)
