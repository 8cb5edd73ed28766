#!/usr/bin/env python3
"""PEFT and lorac side by side on SmolLM2-135M-Instruct: the same 64 rows, rank 16 on all linear layers, AdamW. Prints
tokens per second (real tokens, no padding counted; the first step left out) and peak resident memory of the process.

The two take turns, so that a machine that becomes slower hurts both; of the rounds the best counts.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from peer import PROGRAM, metrics, real_model, real_model_folder, real_text, tokenised

ROUNDS = int(os.environ.get("ROUNDS", 2))
THREADS = len(os.sched_getaffinity(0))
# dtype, batch size, steps
CASES = [("bf16", 8, 4), ("bf16", 1, 12), ("f32", 8, 3), ("f32", 1, 8)]


def run(command):
    """The standard output and the peak resident memory in bytes of a child."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen([str(word) for word in command], stdout=out, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            sys.exit(f"{command[0]} ends with {child.returncode}\n{errors.read()[-2000:]}")
        out.seek(0)
        return out.read(), usage.ru_maxrss * 1024


def run_peft(rows, dtype, batch, steps):
    script = Path(__file__).with_name("peft_bench.py")
    command = [sys.executable, "-W", "ignore", script, real_model_folder(), rows, "--dtype", dtype]
    out, memory = run(command + ["--batch-size", batch, "--steps", steps, "--threads", THREADS])
    result = json.loads(out)
    return result["tokens"] / result["seconds"], memory


def run_lorac(rows, dtype, batch, steps):
    with tempfile.TemporaryDirectory() as folder:
        command = [PROGRAM, "train", "-m", real_model(), "--data", rows, "-o", folder, "--dtype", dtype, "--rank", 16]
        command += ["--target-modules", "all-linear", "--batch-size", batch, "--steps", steps, "--threads", THREADS]
        _, memory = run(command + ["--no-shuffle", "--steps-per-report", 1])
        reports = metrics(folder)
    done = [b["tokens"] - a["tokens"] for a, b in zip(reports, reports[1:])]
    seconds = sum(tokens / report["tokens_per_second"] for tokens, report in zip(done, reports[1:]))
    return sum(done) / seconds, memory


def main():
    print(f"{THREADS} threads, {ROUNDS} rounds, SmolLM2-135M-Instruct, rank 16, all-linear")
    print(f"{'':14}{'PEFT':>20}{'lorac':>22}{'speed':>11}{'memory':>9}")
    with tempfile.TemporaryDirectory() as folder:
        rows = tokenised(folder, real_model(), real_text(64))
        for dtype, batch, steps in CASES:
            results = {run_peft: [], run_lorac: []}
            for _ in range(ROUNDS):
                for program, seen in results.items():
                    seen.append(program(rows, dtype, batch, steps))
            (peft, peft_memory), (ours, our_memory) = (
                (max(speed for speed, _ in seen), min(memory for _, memory in seen)) for seen in results.values()
            )
            print(
                f"{dtype} batch {batch:<3} {peft:7.0f} tok/s {peft_memory / 1e9:5.1f} GB"
                f"{ours:9.0f} tok/s {our_memory / 1e9:5.1f} GB{ours / peft:10.2f}x{peft_memory / our_memory:8.1f}x",
                flush=True,
            )


if __name__ == "__main__":
    main()
