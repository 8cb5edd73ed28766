#!/usr/bin/env python3
"""Writes the measured figures into docs/performance.md, between its markers: the table and the profile of
build/bench.json, and the plots of build/curves.json. Run it as

    PEERS= bench/run.sh report.py

BEFORE=FILE, what an older lorac bench --profile --json said, fills the place for the profile before a change.
"""

import json
import os
import sys
from pathlib import Path

from bench import GROUPS, OUT
from curves import OUT as CURVES_OUT
from curves import draw_curves
from peer import ROOT
from table import as_markdown, from_json

PAGE = ROOT / "docs" / "performance.md"


def replaced(page, name, text):
    """The page with this text between <!-- NAME --> and <!-- end of NAME -->."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page needs {begin.strip()} and {end} once each")
    before, rest = page.split(begin)
    return f"{before}{begin}{text.strip()}\n{end}{rest.split(end)[1]}"


def measured_table(results):
    """One table a group, under the machine's name."""
    lines = from_json(results["lines"])
    head = f"{results['cpu']} ({results['isa']}), {results['threads']} threads, medians of {results['rounds']} rounds."
    parts = [head]
    for group in GROUPS:
        chosen = [line for line in lines if line.group == group and not line.note.startswith("skipped")]
        if chosen:
            parts.append(f"**{group}**\n\n{as_markdown(chosen)}")
    return "\n\n".join(parts)


def profile_table(profile):
    """Part by part, the largest first."""
    rows = ["| part | ms a step | share | GFLOP/s | GB/s |", "|---|--:|--:|--:|--:|"]
    for part in sorted(profile["parts"], key=lambda part: -part["share"]):
        rate = f"{part['gflops']:.0f} | {part['gbs']:.1f}" if part["gflops"] or part["gbs"] else " | "
        milliseconds = 1e3 * part["share"] * profile["seconds_per_step"]
        rows.append(f"| {part['name']} | {milliseconds:.0f} | {100 * part['share']:.1f} % | {rate} |")
    measured = sum(part["seconds"] for part in profile["parts"])  # of all steps together, as the operations are
    needed = f"A step needs {profile['needed_gflop'] / measured * profile['seconds_per_step']:.0f} GFLOP"
    machine = f"this machine's products run at {profile['gemm_gflops']:.0f} GFLOP/s, its memory at "
    machine += f"{profile['bandwidth_gbs']:.0f} GB/s"
    share = f"{100 * profile['share_of_ceiling']:.0f} % of the products' rate"
    return "\n".join(rows) + f"\n\n{needed}; {machine}: that is {share}."


def profiles(results):
    shown = []
    for line in from_json(results["lines"]):
        if line.group == "ceiling" and line.detail:
            shown.append(f"{line.what.split(',')[0]}:\n\n{profile_table(line.detail)}")
    return "\n\n".join(shown)


def main():
    if not OUT.exists():
        sys.exit(f"{OUT} is not there: make bench first")
    results = json.loads(OUT.read_text())
    page = replaced(PAGE.read_text(), "table", measured_table(results))
    page = replaced(page, "profile", profiles(results))
    if os.environ.get("BEFORE"):
        page = replaced(page, "before", profile_table(json.loads(Path(os.environ["BEFORE"]).read_text())))
    PAGE.write_text(page)
    if CURVES_OUT.exists():
        draw_curves()


if __name__ == "__main__":
    main()
