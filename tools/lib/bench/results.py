# SPDX-License-Identifier: GPL-2.0
"""What the bench module prints, its statistics, and the JSON in which results are kept."""

import dataclasses
import json
import re
import statistics

FORMAT = 1
PREFIX = "async_domain_bench: "
ANNOUNCEMENT = "async_domain: running "
PAIR = re.compile(r"(\w+)=(\S+)")
# What every line of a result has.
NEEDED = {"workload", "side", "n", "repeat", "metric", "value", "unit"}


class Incomplete(Exception):
    """A log or a file that lacks something; the text says what."""


@dataclasses.dataclass(frozen=True, order=True)
class Key:
    """What was measured."""

    workload: str
    side: str
    n: int
    metric: str

    def __str__(self):
        return f"{self.workload}: {self.side}, {self.metric}, n {self.n}"


@dataclasses.dataclass
class Series:
    """The repeats of one measurement."""

    unit: str
    values: list

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def quartiles(self):
        """The first and the third."""
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        first, _, third = statistics.quantiles(self.values, n=4, method="inclusive")
        return first, third

    @property
    def spread(self):
        """From the lowest to the highest, in relation to the median."""
        if self.median == 0:
            return 0.0 if max(self.values) == min(self.values) else float("inf")
        return (max(self.values) - min(self.values)) / abs(self.median)


def number(text):
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def sections(lines, runs):
    """The lines of each run of the module, which the guest's job announces with its parameters."""
    announced, parts = [], []
    for line in lines:
        line = line.rstrip("\r\n")
        if line.startswith(ANNOUNCEMENT):
            announced.append(line[len(ANNOUNCEMENT) :])
            parts.append([])
        elif parts and line.startswith(PREFIX):
            parts[-1].append(line[len(PREFIX) :])
    if announced != runs:
        raise Incomplete(f"the log has {len(announced)} runs of the bench module, {len(runs)} were asked for")
    return parts


def parse_run(lines, run):
    """The series of one run. It is complete if the module said that it finished, and every series has each of its
    repeats once. What it skipped it has said, and is no error."""
    repeats = int(dict(PAIR.findall(run))["repeats"])
    found = {}
    errors = [line for line in lines if line.startswith("error")]
    if errors or lines.count("finished") != 1:
        raise Incomplete(f"{run}: the bench module " + (f"says {errors[0]}" if errors else "did not finish"))
    for line in lines:
        if not line.startswith("result "):
            continue
        pairs = dict(PAIR.findall(line))
        if not NEEDED <= pairs.keys():
            raise Incomplete(f"a result lacks {', '.join(sorted(NEEDED - pairs.keys()))}: {line}")
        try:
            key = Key(pairs["workload"], pairs["side"], int(pairs["n"]), pairs["metric"])
            repeat, value = int(pairs["repeat"]), number(pairs["value"])
        except ValueError as error:
            raise Incomplete(f"a result is garbled ({error}): {line}") from error
        unit, values = found.setdefault(key, (pairs["unit"], {}))
        if repeat in values or unit != pairs["unit"]:
            raise Incomplete(f"{key}: repeat {repeat} is there twice, or in another unit")
        values[repeat] = value
    if not found:
        raise Incomplete(f"{run}: there are no results")
    for key, (_, values) in found.items():
        if sorted(values) != list(range(repeats)):
            raise Incomplete(f"{key}: has the repeats {sorted(values)}, {repeats} were asked for")
    return {
        key: Series(unit, [values[repeat] for repeat in range(repeats)])
        for key, (unit, values) in found.items()
    }


def parse(lines, runs):
    """The series in the lines of a log, a dictionary from Key to Series; runs are the parameters of the module."""
    lines = list(lines)
    found = {}
    for run, part in zip(runs, sections(lines, runs)):
        series = parse_run(part, run)
        twice = found.keys() & series.keys()
        if twice:
            raise Incomplete(f"{min(twice)}: was measured by two runs")
        found.update(series)
    return found


class Results:
    """Series, and what they were measured on."""

    def __init__(self, series, about, counts=None):
        self.series = series
        self.about = about
        # {side: {what: per task}}
        self.counts = counts or {}

    def workloads(self):
        return sorted({key.workload for key in self.series})

    def get(self, workload, side, n, metric):
        return self.series.get(Key(workload, side, n, metric))

    def select(self, **wanted):
        """The keys that have the given attributes, in order."""
        return sorted(
            key for key in self.series if all(getattr(key, name) == value for name, value in wanted.items())
        )

    def save(self, path):
        rows = [
            {
                **dataclasses.asdict(key),
                "unit": series.unit,
                "median": series.median,
                "values": series.values,
            }
            for key, series in sorted(self.series.items())
        ]
        # A line for each, so that two runs can be compared by eye as well.
        lines = ",\n  ".join(json.dumps(row) for row in rows)
        about, counts = (json.dumps(what, indent=1) for what in (self.about, self.counts))
        with open(path, "w") as file:
            file.write(f'{{"format": {FORMAT},\n"about": {about},\n"results": [\n  {lines}\n],\n"counts": {counts}}}\n')

    @classmethod
    def load(cls, path):
        try:
            with open(path) as file:
                saved = json.load(file)
            if saved.get("format") != FORMAT:
                raise Incomplete(f"{path} has the format {saved.get('format')}, not {FORMAT}")
            series = {}
            for row in saved["results"]:
                key = Key(*(row[name] for name in ("workload", "side", "n", "metric")))
                series[key] = Series(row["unit"], row["values"])
            return cls(series, saved["about"], saved["counts"])
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise Incomplete(f"{path} is not a file that make bench has written: {error!r}") from error
