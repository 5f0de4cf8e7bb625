# SPDX-License-Identifier: GPL-2.0
"""Makes lanes of events: who did what, from when to when, and where the frontier was."""

import collections
import re
from dataclasses import dataclass, field

from trace import Garbled

MARK = re.compile(r"async_domain: (end$|(?P<operation>\S+) (?P<way>\S+)$)")
# What nvme_bringup logs: the name of a controller, and of one that was taken down how long that took.
CONTROLLER = re.compile(r"nvme_bringup: (nvme\d+) (?:\S+ (?:not )?down: .*\(([\d.]+) ms\))?")


@dataclass
class Slice:
    """What somebody did for some time. Times are seconds."""

    kind: str  # "parallel", "retire", "wait", "ready" (nobody works: its turn has not come), "alone" (not a task)
    lane: str
    start: float
    end: float = None
    label: str = ""
    arguments: dict = field(default_factory=dict)


@dataclass
class Phase:
    """Part of a trace: all of it, or from a mark of tools/guest/timeline to the next."""

    operation: str = "trace"
    way: str = ""
    slices: list = field(default_factory=list)
    # domain -> [(time, tasks below the frontier)]
    frontiers: dict = field(default_factory=dict)
    # domain -> [times at which a parallel part was done]
    done: dict = field(default_factory=lambda: collections.defaultdict(list))
    names: dict = field(default_factory=dict)
    # (time, lane, name, arguments)
    instants: list = field(default_factory=list)

    @property
    def start(self):
        submitted = [steps[0][0] for steps in self.frontiers.values()]
        return min(submitted + [slice.start for slice in self.slices])

    @property
    def end(self):
        return max(slice.end for slice in self.slices)

    def lanes(self):
        """Workers in the order in which they begin, then the other threads."""
        first = {}
        for slice in sorted(self.slices, key=lambda slice: slice.start):
            first.setdefault(slice.lane, slice.start)
        return sorted(first, key=lambda lane: (not is_worker(lane), first[lane]))

    def duration(self):
        """To the end of the work."""
        return max(slice.end for slice in self.slices if slice.kind != "wait") - self.start


def is_worker(lane):
    return lane.startswith("kworker")


class Reader:
    """Goes through the events of one phase."""

    def __init__(self, phase):
        self.phase = phase
        self.running = {}  # cookie -> slice
        self.ready = {}  # cookie -> slice
        self.inside = collections.defaultdict(list)  # pid -> [slice], innermost last
        self.waiting = {}  # waiter -> slice
        self.cookies = collections.defaultdict(list)  # domain -> [cookie]
        self.lane_of = {}
        self.now = None

    def lane(self, pid, comm):
        """A worker's name changes with what it does, a thread's number does not."""
        return self.lane_of.setdefault(pid, f"{comm.split('+')[0].split('-')[0]} {pid}" if not is_worker(comm)
                                       else re.sub(r"[+-].*", "", comm))

    def begin(self, kind, event, cookie):
        slice = Slice(kind, self.lane(event.pid, event.comm), event.time, label=str(cookie),
                      arguments={"cookie": cookie, "domain": event.fields["domain"]})
        if "func" in event.fields:
            slice.arguments["func"] = event.fields["func"]
        self.phase.slices.append(slice)
        return slice

    def finish(self, cookie, event):
        if slice := self.running.pop(cookie, None):
            slice.end = event.time
            for inside in self.inside.values():
                if slice in inside:
                    inside.remove(slice)

    def read(self, event):
        self.now = event.time
        if event.name == "console":
            self.console(event)
        elif event.name.startswith("task_"):
            self.task(event, event.fields["domain"], event.fields["cookie"])
        elif event.name.startswith("wait_"):
            self.wait(event, event.fields["waiter"])

    def task(self, event, domain, cookie):
        phase, what = self.phase, event.name[5:]
        if what == "submit":
            phase.names[domain] = event.fields["name"]
            phase.frontiers.setdefault(domain, [(event.time, 0)])
            self.cookies[domain].append(cookie)
        elif what in ("start", "retire"):
            if what == "retire":
                if ready := self.ready.pop(cookie, None):
                    ready.end = event.time
            self.running[cookie] = self.begin("parallel" if what == "start" else "retire", event, cookie)
            self.inside[event.pid].append(self.running[cookie])
        elif what in ("yield", "ready"):
            self.finish(cookie, event)
            if what == "ready":
                phase.done[domain].append(event.time)
                self.ready[cookie] = self.begin("ready", event, cookie)
        elif what == "finish":
            if cookie in self.running and self.running[cookie].kind == "parallel":
                phase.done[domain].append(event.time)
            self.finish(cookie, event)
            frontier = event.fields["frontier"]
            done = sum(1 for other in self.cookies[domain] if not frontier or other < frontier)
            phase.frontiers.setdefault(domain, [(event.time, 0)]).append((event.time, done))
        else:
            phase.instants.append((event.time, self.lane(event.pid, event.comm), event.name, event.fields))

    def wait(self, event, waiter):
        fields, what = event.fields, event.name[5:]
        if what == "queue" and fields["pid"]:
            slice = Slice("wait", self.lane(fields["pid"], fields["comm"]), event.time, label="waits",
                          arguments={"queue": fields["queue"], "condition": fields["condition"]})
            self.waiting[waiter] = slice
            self.phase.slices.append(slice)
        elif what in ("wake", "gone") and waiter in self.waiting:
            self.waiting.pop(waiter).end = event.time
        if what != "queue":
            self.phase.instants.append((event.time, self.lane(event.pid, event.comm), event.name, fields))

    def console(self, event):
        """The log says which controller a task is for, and what was done without a task."""
        match = CONTROLLER.search(event.text)
        if not match:
            return
        if inside := self.inside[event.pid]:
            cookie = inside[-1].arguments["cookie"]
            for slice in self.phase.slices:
                if slice.arguments.get("cookie") == cookie:
                    slice.label = match[1]
        elif match[2]:
            start = event.time - float(match[2]) / 1000
            self.phase.slices.append(Slice("alone", self.lane(event.pid, event.comm), start, event.time, match[1]))


def phases(events):
    """The parts of a trace in which something happened."""
    found = []
    marked = any(event.name == "tracing_mark_write" and MARK.match(event.text) for event in events)
    reader = None if marked else Reader(Phase())
    for event in events:
        mark = MARK.match(event.text) if event.name == "tracing_mark_write" else None
        if mark:
            close(reader, found)
            reader = Reader(Phase(mark["operation"], mark["way"])) if mark["way"] else None
        elif reader:
            reader.read(event)
    close(reader, found)
    if not found:
        raise Garbled("the trace has no task that has begun")
    return found


def close(reader, found):
    if reader is None or not any(slice.kind != "wait" for slice in reader.phase.slices):
        return
    for slice in reader.phase.slices:
        slice.end = reader.now if slice.end is None else slice.end
    found.append(reader.phase)
