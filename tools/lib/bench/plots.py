# SPDX-License-Identifier: GPL-2.0
"""Draws the cost of each workload against n, both axes logarithmic, as SVG."""

import os

os.environ.setdefault("MPLCONFIGDIR", "/tmp/.matplotlib")

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as pyplot
from matplotlib.ticker import FuncFormatter, NullLocator

from table import quantity, side_name
from workloads import METRICS, SIDES, TARGETS, WORKLOADS

# The colours of Okabe and Ito, which colour-blind readers can tell apart, but for the yellow.
COLOURS = ["#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
MARKS = ["o", "s", "^", "D", "v", "P", "X"]
GREY = "#666666"

pyplot.rcParams.update(
    {
        "svg.fonttype": "path",
        # The same results make the same file.
        "svg.hashsalt": "async_domain",
        "font.family": "DejaVu Sans",
        "font.size": 11,
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def curves(results, letter):
    """{side: ([x], [median], [lowest], [highest])} of the workload's cost."""
    workload = WORKLOADS[letter]
    found = {}
    for key in results.select(workload=letter, metric=workload.cost):
        series = results.series[key]
        # What is 0 has no place on a logarithmic axis.
        if key.n == 0 or min(series.values) <= 0:
            continue
        for values, value in zip(
            found.setdefault(key.side, ([], [], [], [])),
            (key.n, series.median, min(series.values), max(series.values)),
        ):
            values.append(value)
    order = list(SIDES)
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def limits(letter, found):
    """(side, [x], [y]): what a target allows a side, in relation to another that was measured."""
    for target in TARGETS:
        if target.workload != letter or target.metric != WORKLOADS[letter].cost or target.kind != "ratio":
            continue
        if target.reference in found and target.side in found:
            xs, ys = found[target.reference][:2]
            at = [(x, y * target.most) for x, y in zip(xs, ys) if target.n is None or x == target.n]
            if at:
                yield target.side, *zip(*at)


def apart(heights, gap):
    """Heights in the same order that are a gap apart, and as near to the given ones as that allows: neighbours that
    are too close become a group, which is centred on where its members wanted to be."""
    groups = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and bottom(groups[-1], gap) < bottom(groups[-2], gap) + len(groups[-2]) * gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [bottom(group, gap) + index * gap for group in groups for index in range(len(group))]


def bottom(group, gap):
    return sum(group) / len(group) - (len(group) - 1) * gap / 2


def draw(results, letter, path):
    workload = WORKLOADS[letter]
    found = curves(results, letter)
    unit = results.series[results.select(workload=letter, metric=workload.cost)[0]].unit
    figure, axes = pyplot.subplots(figsize=(8.4, 4.8))
    # (x, y, text, colour) at the end of each line.
    labels = []
    styles = zip(COLOURS, MARKS)
    colours = {}
    for side, (xs, middle, low, high) in found.items():
        colour, mark = (GREY, "") if side == "limit" else next(styles)
        colours[side] = colour
        axes.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(xs, middle, color=colour, marker=mark, markersize=6, linewidth=1.8)
        labels.append((xs[-1], middle[-1], side_name(side), colour))
    allowed = list(limits(letter, found))
    for side, xs, ys in allowed:
        if len(xs) > 1:
            axes.plot(xs, ys, color=colours[side], linestyle=(0, (4, 3)), linewidth=1.3)
        else:
            axes.plot(xs, ys, color=colours[side], marker="_", markersize=24, markeredgewidth=2, linestyle="none")
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = sorted({x for curve in found.values() for x in curve[0]})
    axes.set_xticks(ticks, [f"{x:,}" for x in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value, unit)))
    low, high = axes.get_ylim()
    # A curve that is flat looks flat only if the axis holds a decade.
    if high / low < 10:
        middle = (low * high) ** 0.5
        low, high = middle / 10**0.5, middle * 10**0.5
        axes.set_ylim(low, high)
    few = high / low < 300
    axes.yaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: quantity(value, unit) if few and f"{value:.0e}"[0] in "25" else "")
    )
    axes.grid(True, which="major", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(workload.axis)
    axes.set_title(
        f"{letter}: {workload.title}: {METRICS[workload.cost]}" + (" (broken line: to reach)" if allowed else ""),
        loc="left",
        fontsize=12,
    )

    # Each line has its name at its end; names that would lie on each other are moved apart.
    axes.set_xlim(right=max(ticks) * 1.05)
    labels.sort(key=lambda label: label[1])
    place = axes.transAxes.inverted()
    heights = [place.transform(axes.transData.transform((1, label[1])))[1] for label in labels]
    placed = apart(heights, 0.062)
    for (x, y, text, colour), height in zip(labels, placed):
        axes.annotate(
            text,
            xy=(x, y),
            xytext=(1.03, height),
            textcoords="axes fraction",
            color=colour,
            va="center",
            fontsize=10.5,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6, "shrinkB": 4},
        )
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def draw_all(results, directory):
    """One file for each workload; returns their names."""
    os.makedirs(directory, exist_ok=True)
    drawn = []
    for letter in results.workloads():
        if results.select(workload=letter, metric=WORKLOADS[letter].cost):
            name = f"benchmark-{letter}.svg"
            draw(results, letter, os.path.join(directory, name))
            drawn.append(name)
    return drawn
