# SPDX-License-Identifier: GPL-2.0
"""Writes figures into the documents, between marks, so that none is typed by hand.

    <!-- bench: NAME -->  ...  <!-- bench: end -->        in Markdown
    .. bench: NAME         ...  .. bench: end              in reStructuredText

The results stand in Documentation/benchmark.json, the plots in Documentation/images.
"""

import os
import re

import table
from results import Incomplete, Results
from targets import judge
from workloads import TARGETS, WORKLOADS

JSON = "Documentation/benchmark.json"
IMAGES = "Documentation/images"
DOCUMENTS = ["README.md", "Documentation/benchmark.rst", "Documentation/why.rst"]
MARKS = re.compile(
    r"(?P<begin>^(?:<!--|\.\.) bench: (?P<name>[\w-]+)(?: -->)?\n).*?"
    r"(?P<end>^(?:<!--|\.\.) bench: end(?: -->)?\n)",
    re.DOTALL | re.MULTILINE,
)


def markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines) + "\n"


def simple_table(rows):
    """A table of reStructuredText; its first column must not be empty."""
    rows = [[cell or ("\\ " if number == 0 else "") for number, cell in enumerate(row)] for row in rows]
    widths = [max(max(map(len, column)), 2) for column in zip(*rows)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join(["", rule, lines[0], rule, *lines[1:], rule, "", ""])


def readme(results, judgements):
    """The targets, briefly."""
    rows = [["", "at n =", "measured", "to reach"]]
    for row in table.target_rows(judgements)[1:]:
        letter, text, at, value, most, verdict = row
        if value:
            rows.append([f"{letter}: {text}", at, value if verdict == "reached" else f"{value} (missed)", most])
    return "\n" + markdown(rows) + "\n" + table.about(results) + ".\n"


def block(name, results, judgements):
    if name == "readme":
        return readme(results, judgements)
    if name == "about":
        return f"\n{table.about(results)}.\nThe host: {results.about['machine']}.\n\n"
    if name == "targets":
        return simple_table(table.target_rows(judgements))
    if name == "counts":
        return simple_table(table.count_rows(results))
    if name in WORKLOADS:
        title = WORKLOADS[name].title
        image = f"\n.. image:: images/benchmark-{name}.svg\n   :alt: {title}: cost against n\n"
        return image + simple_table(table.workload_rows(results, name))
    raise Incomplete(f'there is no "{name}" that could stand between marks')


def filled(text, results):
    """The text with what must stand between its marks: nothing, as long as there are no results."""
    judgements = judge(results, TARGETS) if results else []

    def between(name):
        return block(name, results, judgements) if results else ""

    return MARKS.sub(lambda mark: mark["begin"] + between(mark["name"]) + mark["end"], text)


def update(results, project):
    """Brings the documents up to date; returns the names of those that have changed."""
    import plots

    missing = sorted(WORKLOADS.keys() - set(results.workloads()))
    if missing or not results.counts or results.about["mode"] != "icount":
        raise Incomplete("the documents hold the figures of a run that counts instructions and measures everything")
    results.save(os.path.join(project, JSON))
    plots.draw_all(results, os.path.join(project, IMAGES))
    for name in DOCUMENTS:
        path = os.path.join(project, name)
        with open(path) as file:
            before = file.read()
        after = filled(before, results)
        if after != before:
            with open(path, "w") as file:
                file.write(after)
            yield name


def stale(project):
    """The documents whose figures are not those of the JSON."""
    path = os.path.join(project, JSON)
    results = Results.load(path) if os.path.exists(path) else None
    for name in DOCUMENTS:
        with open(os.path.join(project, name)) as file:
            text = file.read()
        if filled(text, results) != text:
            yield name
