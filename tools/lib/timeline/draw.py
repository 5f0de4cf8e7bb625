# SPDX-License-Identifier: GPL-2.0
"""Draws lanes, and the frontier below them on the same axis of time, as SVG (or PNG, by the name of the file)."""

import io
import itertools
import os
import re

os.environ.setdefault("MPLCONFIGDIR", os.path.join(os.environ.get("TIMELINE_DIRECTORY", "/tmp"), ".matplotlib"))

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as pyplot
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

# The colours of Okabe and Ito, which colour-blind readers can tell apart.
PARALLEL, RETIRE, ALONE, GREY = "#0072B2", "#E69F00", "#56B4E9", "#666666"
WAIT = "#D9D9D9"
FRONTIERS = ["#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#0072B2"]
WAYS = {"parallel": "in parallel", "serial": "one after another", "": ""}
INCHES = 10

pyplot.rcParams.update(
    {
        # Text as text: names of lanes as outlines would be most of the file.
        "svg.fonttype": "none",
        # The same trace makes the same file.
        "svg.hashsalt": "async_domain",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
        "font.size": 9,
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def lane_height(count):
    """In inches: many lanes are thin."""
    return 0.20 if count <= 16 else 0.11


class Lanes:
    """The lanes of one phase."""

    def __init__(self, axes, phase, per_ms):
        self.axes, self.phase, self.per_ms = axes, phase, per_ms
        self.lanes = phase.lanes()
        self.rows = {lane: row for row, lane in enumerate(self.lanes)}
        self.zero = phase.start

    def ms(self, time):
        return (time - self.zero) * 1000

    def bar(self, slice, colour, height=0.8, **more):
        start, end = self.ms(slice.start), self.ms(slice.end)
        self.axes.barh(self.rows[slice.lane], end - start, left=start, height=height, color=colour, edgecolor="white",
                       linewidth=0.4, **more)

    def draw(self):
        by_kind = lambda kind: [slice for slice in self.phase.slices if slice.kind == kind]
        for slice in by_kind("ready"):
            row = self.rows[slice.lane]
            self.axes.plot([self.ms(slice.start), self.ms(slice.end)], [row, row], color=GREY, linewidth=0.8, zorder=1)
        for kind, colour in ("parallel", PARALLEL), ("alone", ALONE):
            for slice in by_kind(kind):
                self.bar(slice, colour, zorder=2)
        for slice in by_kind("wait"):
            # Of a task that waits, one sees both.
            inside = any(other.kind == "parallel" and other.lane == slice.lane and other.start <= slice.start < other.end
                         for other in self.phase.slices)
            self.bar(slice, WAIT, height=0.8 if not inside else 0.5, zorder=3)
        for slice in by_kind("retire"):
            # Most are too short for a bar to be seen.
            self.bar(slice, RETIRE, zorder=4)
            row = self.rows[slice.lane]
            self.axes.plot([self.ms(slice.start)] * 2, [row - 0.4, row + 0.4], color=RETIRE, linewidth=1.3, zorder=4,
                           solid_capstyle="butt")
        if lane_height(len(self.lanes)) > 0.15:
            for slice in by_kind("parallel") + by_kind("alone"):
                self.label(slice)
        self.finish()

    def label(self, slice):
        """In the bar, if there is room: of what is blue, where a wait covers the rest."""
        end = min([slice.end] + [other.start for other in self.phase.slices
                                 if other.kind in ("wait", "retire") and other.lane == slice.lane
                                 and slice.start < other.start < slice.end])
        width = self.ms(end) - self.ms(slice.start)
        for text in slice.label, slice.label.removeprefix("nvme"):
            if width * self.per_ms > 0.075 * len(text) + 0.03:
                self.axes.text(self.ms(slice.start) + width / 2, self.rows[slice.lane], text, color="white", fontsize=7.5,
                               ha="center", va="center_baseline", zorder=5)
                return

    def finish(self):
        axes, count = self.axes, len(self.lanes)
        axes.set_ylim(count - 0.4, -0.6)
        workers = [lane for lane in self.lanes if lane.startswith("kworker")]
        shown = [lane for row, lane in enumerate(self.lanes) if count <= 16 or row % 8 == 0 or lane not in workers]
        # One that is thin has no place for two names that follow each other.
        if count > 16 and len(workers) % 8 in (1, 2):
            shown = [lane for lane in shown if self.rows[lane] != len(workers) - len(workers) % 8 or lane not in workers]
        axes.set_yticks([self.rows[lane] for lane in shown], shown, fontsize=7.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="x", labelbottom=False, length=0)
        axes.grid(axis="x", color="#EEEEEE", linewidth=0.8)
        axes.set_axisbelow(True)


def frontier(axes, phases, named):
    """One line for each domain of each phase."""
    colours = itertools.cycle(FRONTIERS)
    most = 1
    for phase in phases:
        if phase.way == "serial" and len(phases) == 1:
            next(colours)
        steps = dict(phase.frontiers)
        alone = sorted(slice.end for slice in phase.slices if slice.kind == "alone")
        if alone and not steps:
            steps["alone"] = [(phase.start, 0)] + [(time, count) for count, time in enumerate(alone, 1)]
        for domain, points in steps.items():
            most = max([most] + [done for _, done in points])
            xs, ys = [(time - phase.start) * 1000 for time, _ in points], [done for _, done in points]
            name = WAYS[phase.way] if phase.way else phase.names.get(domain, domain)
            colour = next(colours)
            if phase.way == "parallel" or not phase.way:
                done = [(time - phase.start) * 1000 for time in phase.done.get(domain, [])]
                axes.step([0] + done, range(len(done) + 1), where="post", color=PARALLEL, linewidth=1, linestyle=":")
            axes.step(xs, ys, where="post", color=colour, linewidth=1.6)
            # At the end of the line.
            if named:
                # Above and left of the end of the line, where nothing is.
                axes.text(xs[-1], ys[-1] * 1.03, name, color=colour, fontsize=8.5, va="bottom", ha="right")
    axes.set_ylim(0, most * 1.35)
    axes.set_yticks([0, most])
    axes.grid(axis="x", color="#EEEEEE", linewidth=0.8)
    axes.set_ylabel("tasks", fontsize=8.5)


def legend(figure, kinds, top):
    entries = [
        ("parallel", Patch(color=PARALLEL, label="parallel part of a task")),
        ("retire", Line2D([], [], color=RETIRE, linewidth=3, label="retire part, in order")),
        ("ready", Line2D([], [], color=GREY, linewidth=1, label="ready, not its turn: no thread waits")),
        ("wait", Patch(color=WAIT, label="a thread waits")),
        ("alone", Patch(color=ALONE, label="the same work without a domain")),
        ("parallel", Line2D([], [], color=PARALLEL, linewidth=1, linestyle=":", label="parallel parts done")),
        ("parallel", Line2D([], [], color=FRONTIERS[0], linewidth=1.6, label="frontier: tasks done, with all before them")),
    ]
    figure.legend(handles=[handle for kind, handle in entries if kind in kinds], loc="upper left", ncols=4, fontsize=8,
                  frameon=False, bbox_to_anchor=(0.005, top), columnspacing=1.4, handlelength=1.6)


def together(parts):
    """Phases of one operation share an axis of time, to compare them, unless that would leave too little of the shortest."""
    if longest(parts) > 6 * min(longest([phase]) for phase in parts):
        return [[phase] for phase in parts]
    return [parts]


def longest(parts):
    return max(phase.end - phase.start for phase in parts) * 1000


def layout(phases):
    """[(inches, what, group, text)] from top to bottom: headings, phases with their lanes, frontiers, gaps."""
    operations = {}
    for phase in phases:
        operations.setdefault(phase.operation, []).append(phase)
    for operation, parts in operations.items():
        if len(operations) > 1:
            yield 0.3, "heading", parts, operation.capitalize()
        for group in together(parts):
            for phase in group:
                count = len(phase.lanes())
                text = f"{WAYS[phase.way]}: {phase.duration() * 1000:,.0f} ms" if phase.way else ""
                if group != parts and phase != parts[0]:
                    text += f" (drawn {longest(group) / longest(parts[:1]):.0f} times shorter)"
                yield lane_height(count) * count + (0.32 if text else 0.12), phase, group, text
            yield 0.85, "frontier", group, ""
            yield 0.2, "gap", group, ""


def draw(phases, title, path):
    """All phases, one below the other, each with the frontier below on the same axis of time."""
    rows = list(layout(phases))
    head, foot = 0.72, 0.25
    height = head + foot + sum(row[0] for row in rows)
    figure = pyplot.figure(figsize=(INCHES, height))
    left, width = 0.115, 0.865
    figure.text(0.01, 1 - 0.13 / height, title, fontsize=12, fontweight="bold", va="top")
    legend(figure, {slice.kind for phase in phases for slice in phase.slices}, 1 - 0.32 / height)

    top = height - head
    for inches, what, group, text in rows:
        top -= inches
        if what == "heading":
            figure.text(0.01, (top + 0.02) / height, text, fontsize=11, fontweight="bold")
        if what in ("heading", "gap"):
            continue
        axes = figure.add_axes((left, (top + 0.06) / height, width, (inches - (0.32 if text else 0.12)) / height))
        limit = longest(group) * 1.015
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
        if what == "frontier":
            frontier(axes, group, named=len(group) > 1 or len(group[0].frontiers) > 1)
            if group is rows[-1][2]:
                axes.set_xlabel("time since the first event, ms")
        else:
            Lanes(axes, what, INCHES * width / limit).draw()
            axes.set_title(text, loc="left", fontsize=9.5, pad=3)
        axes.set_xlim(0, limit)
    if not str(path).endswith(".svg"):
        figure.savefig(path, dpi=120)
    else:
        svg = io.StringIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        with open(path, "w", encoding="utf-8") as file:
            file.write(shrunk(svg.getvalue()))
    pyplot.close(figure)


def shrunk(svg):
    """The same, with fewer digits and blanks: it is kept in the repository."""
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    # (What scales glyphs needs its digits.)
    svg = re.sub(r"(?<!scale\()(\b\d+\.\d\d)\d+", r"\1", svg)
    return re.sub(r"\s*\n\s*", "\n", svg)
