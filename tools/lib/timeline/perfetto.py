# SPDX-License-Identifier: GPL-2.0
"""The lanes in the trace event format, which https://ui.perfetto.dev and chrome://tracing read. Times are microseconds."""

NAMES = {"parallel": "parallel part", "retire": "retire part", "wait": "wait", "ready": "ready", "alone": "without a task"}


def trace_events(phases):
    """The content of the file. A phase is a process there, and a lane a thread."""
    events = []

    def add(phase, kind, name, time, **more):
        events.append({"ph": kind, "name": name, "pid": phase, "ts": round(time * 1e6, 3), **more})

    for number, phase in enumerate(phases, 1):
        add(number, "M", "process_name", 0, args={"name": f"{phase.operation} {phase.way}".strip()})
        lanes = {lane: tid for tid, lane in enumerate(phase.lanes(), 1)}
        # What is ready occupies nobody, and would overlap with what its worker does next.
        waiting = len(lanes) + 1
        for lane, tid in lanes.items():
            add(number, "M", "thread_name", 0, tid=tid, args={"name": lane})
        for slice in phase.slices:
            name = slice.label if slice.kind == "wait" else f"{slice.label}: {NAMES[slice.kind]}"
            if slice.kind == "ready":
                cookie = slice.arguments["cookie"]
                add(number, "b", name, slice.start, cat="ready", id=cookie, tid=waiting, args=slice.arguments)
                add(number, "e", name, slice.end, cat="ready", id=cookie, tid=waiting)
            else:
                add(number, "X", name, slice.start, cat=slice.kind, tid=lanes[slice.lane],
                    dur=round((slice.end - slice.start) * 1e6, 3), args=slice.arguments)
        for time, lane, name, arguments in phase.instants:
            add(number, "i", name, time, s="t", tid=lanes.get(lane, 0), args=arguments)
        for domain, steps in phase.frontiers.items():
            for time, done in steps:
                add(number, "C", f"frontier of {phase.names.get(domain, domain)}", time, args={"tasks below": done})
    return {"traceEvents": events, "displayTimeUnit": "ms"}
