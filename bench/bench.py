#!/usr/bin/env python3
"""Measures lorac beside its peers and prints the table of docs/performance.md. run.sh calls it.

ROUNDS=n: rounds of which the median counts (3). LINES=a,b: only these groups. PEERS="peft llama.cpp": who takes part.
The results go to build/bench.json too; groups that do not run keep what stands there if it is from the same machine.
"""

import json
import os
import sys

import inference
import limits
import plans
import training
from measure import Failed
from peer import ROOT
from programs import THREADS, machine
from table import as_text, from_json, skipped, to_json

OUT = ROOT / "build" / "bench.json"
GROUPS = {
    "training": training.training,
    "ceiling": lambda rounds: limits.ceiling(rounds, machine()["isa"]),
    "memory": training.memory,
    "quantised": training.quantised,
    "rank": training.rank,
    "dora": training.dora,
    "generation": inference.generation,
    "streams": inference.streams,
    "start": training.start,
    "merge": inference.merge,
    "length": limits.length,
    "threads": limits.threads,
    "plans": plans.plans,
}


def chosen_groups():
    names = os.environ.get("LINES", "").replace(",", " ").split() or list(GROUPS)
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        sys.exit(f"LINES: there is no group {unknown[0]}; there are {', '.join(GROUPS)}")
    return names


def earlier(here, chosen):
    """Lines of groups that do not run now."""
    if not OUT.exists():
        return []
    results = json.loads(OUT.read_text())
    if any(results.get(key) != value for key, value in here.items()):
        return []
    return [line for line in from_json(results["lines"]) if line.group not in chosen]


def main():
    rounds, chosen, here = int(os.environ.get("ROUNDS", 3)), chosen_groups(), machine()
    print(f"{here['cpu']}, {here['isa']}, {THREADS} threads, medians of {rounds} rounds", flush=True)
    lines = earlier(here, chosen)
    for name in chosen:
        try:
            lines += GROUPS[name](rounds)
        except Failed as problem:
            print(problem, file=sys.stderr)
            lines.append(skipped(name, name, str(problem).strip().splitlines()[-1]))
        lines.sort(key=lambda line: list(GROUPS).index(line.group))
        OUT.write_text(json.dumps(here | {"rounds": rounds, "lines": to_json(lines)}, indent=1) + "\n")
    print()
    print(as_text([line for line in lines if line.group in chosen]))


if __name__ == "__main__":
    main()
