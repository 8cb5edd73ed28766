"""A fresh process for every measurement: its output lines with the time of each, how long it took, and its peak
resident memory. Several commands take turns, so that a machine that becomes slower hurts all of them; of the rounds
the median counts. Knows nothing of what is measured.

The kernel counts as a child's peak at least what its parent had at the fork, so this process must stay small: the
modules here need Python's standard library alone, and torch lives in children."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

LONGEST = 1800  # seconds until a child counts as stuck


class Failed(Exception):
    """A child that did not end with 0; the text is the end of what it said."""


@dataclass
class Ran:
    seconds: float
    peak: int  # bytes
    lines: list  # (seconds since the start of the process, text)

    def json(self):
        """The last line as an object."""
        return json.loads(self.lines[-1][1])

    def text(self):
        return "".join(text for _, text in self.lines)

    def events(self, name):
        """When each {"event": name} was printed."""
        return [at for at, text in self.lines if text.startswith("{") and json.loads(text).get("event") == name]


def run(*command, accept=(0,)):
    words = [str(word) for word in command]
    with tempfile.TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        guard = threading.Timer(LONGEST, child.kill)
        guard.start()
        lines = [(time.perf_counter() - begin, line) for line in child.stdout]
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begin
        guard.cancel()
        child.stdout.close()
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in accept:
            errors.seek(0)
            said = errors.read() + "".join(text for _, text in lines[-3:])
            raise Failed(f"{' '.join(words)[:300]}\nends with {child.returncode}\n{said[-2000:]}")
    return Ran(seconds, usage.ru_maxrss * 1024, lines)


def take_turns(rounds, programs):
    """Calls each of the programs {name: function} in turn, `rounds` times: {name: [what it returned, ...]}. One that
    fails is told about and has an empty list; the others go on."""
    seen = {name: [] for name in programs}
    failed = set()
    for number in range(rounds):
        for name, program in programs.items():
            if name in failed:
                continue
            began = time.perf_counter()
            try:
                seen[name].append(program())
            except Failed as problem:
                failed.add(name)
                seen[name] = []
                print(f"    {name} fails: {problem}", file=sys.stderr)
            taken = time.perf_counter() - began
            print(f"    round {number + 1} of {rounds}: {name}, {taken:.1f} s", file=sys.stderr, flush=True)
    return seen


def each(seen, name):
    """Of a list of dictionaries, the values under one name."""
    return [one[name] for one in seen]


def median(values):
    return statistics.median(values) if values else None
