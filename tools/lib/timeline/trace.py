# SPDX-License-Identifier: GPL-2.0
"""Reads what the kernel's ring buffer of events holds, as /sys/kernel/tracing/trace shows it."""

import re
from dataclasses import dataclass

# "          insmod-110     [000] d..1.     6.649064: task_submit: domain=00000000cad3e2ab cookie=1 ..."
LINE = re.compile(r"^\s*(?P<comm>.*)-(?P<pid>\d+)\s+(?:\(.*?\)\s+)?\[(?P<cpu>\d+)\]\s+(?:\S+\s+)?(?P<time>\d+(?:\.\d+)?): (?P<name>\w+): ?(?P<text>.*)$")
# What follows the last key may have blanks in it.
FIELD = re.compile(r"(\w+)=(.*?)(?= \w+=|$)")
NUMBERS = {"cookie", "frontier", "condition", "pid", "error"}
FIELDS = {
    "task_submit": ["domain", "cookie", "func", "name"],
    "task_start": ["domain", "cookie", "func"],
    "task_yield": ["domain", "cookie"],
    "task_ready": ["domain", "cookie"],
    "task_retire": ["domain", "cookie"],
    "task_cancel": ["domain", "cookie"],
    "task_error": ["domain", "cookie", "error"],
    "task_finish": ["domain", "cookie", "frontier"],
    **{f"wait_{what}": ["queue", "waiter", "condition", "pid", "comm"] for what in ("queue", "wake", "skip", "spurious", "gone")},
}


class Garbled(Exception):
    """This is not a trace, or not all of it."""


@dataclass
class Event:
    """One event; `fields` are its own, `text` is all of them."""

    time: float
    cpu: int
    pid: int
    comm: str
    name: str
    fields: dict
    text: str
    line: int


def number(text, where):
    try:
        return int(text)
    except ValueError:
        raise Garbled(f"{where}: {text} is not a number") from None


def event(line, where):
    """One line of the trace."""
    match = LINE.match(line)
    if not match:
        raise Garbled(f"{where} is not an event: {line.strip()[:60]}")
    name, text = match["name"], match["text"]
    fields = dict(FIELD.findall(text)) if name in FIELDS else {}
    if name in FIELDS and list(fields) != FIELDS[name]:
        raise Garbled(f"{where}: the event {name} has not the fields {', '.join(FIELDS[name])}")
    for key in NUMBERS & set(fields):
        fields[key] = number(fields[key], where)
    return Event(float(match["time"]), int(match["cpu"]), int(match["pid"]), match["comm"].strip(), name, fields, text, where)


def read(lines, name="the trace"):
    """All events of a trace. What was lost is an error: nothing can be said without it."""
    events = []
    for number_, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        where = f"{name}, line {number_}"
        if "LOST" in line and "EVENTS" in line:
            raise Garbled(f"{where}: events were lost: the buffer is too small")
        entries = re.match(r"# entries-in-buffer/entries-written: (\d+)/(\d+)", line)
        if entries and entries[1] != entries[2]:
            raise Garbled(f"{where}: of {entries[2]} events {entries[1]} are left: the buffer is too small")
        if line and not line.startswith("#"):
            events.append(event(line, where))
    if not any(event.name in FIELDS for event in events):
        raise Garbled(f"{name} has no events of async_domain")
    return events
