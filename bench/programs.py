"""How the programs are called: lorac, PEFT, llama.cpp, oneDNN. Every function starts one fresh process and returns a
dictionary of what was measured; speeds are tokens per second, memory is in bytes."""

import json
import os
import tempfile
from pathlib import Path

from measure import run
from peer import CACHE, PROGRAM

HERE = Path(__file__).resolve().parent
PYTHON = CACHE / "peers" / "bin" / "python"
LLAMA_BENCH = CACHE / "llama.cpp" / "bin" / "llama-bench"
THREADS = len(os.sched_getaffinity(0))


def beside(name):
    """Whether that peer takes part; run.sh has made sure that it is there."""
    return name in os.environ.get("PEERS", "").replace(",", " ").split()


def tokens_of(rows, begin, end):
    """Tokens in rows begin … end - 1 of a file of ids; after the last row comes the first."""
    lengths = [len(json.loads(line)["input_ids"]) for line in Path(rows).read_text().splitlines()]
    return sum(lengths[i % len(lengths)] for i in range(begin, end))


def training_speeds(ran, rows, batch, steps):
    """`steady` leaves the first step out; `whole` is the process from its start to its end."""
    ends = ran.events("train")
    return {
        "whole": tokens_of(rows, 0, batch * steps) / ran.seconds,
        "steady": tokens_of(rows, batch, batch * steps) / (ends[-1] - ends[0]),
        "peak": ran.peak,
    }


def words_of(options):
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]


def run_lorac_train(model, rows, *flags, **options):
    options = dict(threads=THREADS, rank=16, target_modules="all-linear") | options
    with tempfile.TemporaryDirectory() as folder:
        command = [PROGRAM, "train", "-m", model, "--data", rows, "-o", folder, "--overwrite", *words_of(options)]
        command += ["--no-shuffle", "--steps-per-report", 1, "--steps-per-eval", 0, "--save-every", 0, "--log", "json"]
        return run(*command, *flags)


def run_peft_train(model, rows, *flags, **options):
    return peer_script("peft_train.py", model, rows, *flags, *words_of(dict(threads=THREADS) | options))


def lorac_train(model, rows, batch, steps, *flags, **options):
    ran = run_lorac_train(model, rows, *flags, batch_size=batch, steps=steps, **options)
    return training_speeds(ran, rows, batch, steps)


def peft_train(model, rows, batch, steps, *flags, **options):
    ran = run_peft_train(model, rows, *flags, batch_size=batch, steps=steps, **options)
    return training_speeds(ran, rows, batch, steps)


def peer_script(name, *arguments):
    return run(PYTHON, "-W", "ignore", HERE / name, *arguments)


def lorac_json(*arguments, accept=(0,)):
    """What a command says with --json, and the peak memory of its process."""
    ran = run(PROGRAM, *arguments, "--json", accept=accept)
    return ran.json() | {"peak": ran.peak, "seconds": ran.seconds}


def lorac_generate(model, prompt_tokens, count, adapters=(), streams=1, threads=THREADS):
    """Made-up prompts of so many tokens in every stream, each with the next of the adapters; it warms up first. The
    speeds are those of all streams together."""
    words = ["-m", model, "--max-seq-length", prompt_tokens, "--generate", count, "--streams", streams]
    words += ["--threads", threads] + [word for adapter in adapters for word in ("--adapter", adapter)]
    said = lorac_json("bench", *words)
    speeds = {key: said[f"{key}_tokens_per_second"] for key in ("prompt", "generation")}
    return speeds | {"peak": said["peak"]}


def llama_generate(model, prompt_tokens, count, threads=THREADS):
    """llama-bench: a prompt of so many tokens, and so many generated ones after an empty prompt; it warms up first."""
    ran = run(LLAMA_BENCH, "-m", model, "-p", prompt_tokens, "-n", count, "-r", 1, "-t", threads, "-o", "json")
    tests = json.loads(ran.text())
    speeds = {("prompt" if test["n_prompt"] else "generation"): test["avg_ts"] for test in tests}
    return speeds | {"peak": ran.peak}


def lorac_merge(model, adapter):
    with tempfile.TemporaryDirectory() as folder:
        return lorac_json("merge", "-m", model, "--adapter", adapter, "-o", Path(folder) / "merged")


def peft_merge(model, adapter):
    with tempfile.TemporaryDirectory() as folder:
        ran = peer_script("peft_merge.py", model, adapter, Path(folder) / "merged")
    return {"seconds": ran.json()["seconds"], "whole": ran.seconds, "peak": ran.peak}


def onednn_rate(threads, dtype="bf16"):
    return peer_script("onednn_gemm.py", threads, dtype).json()


def machine():
    said = lorac_json("doctor")
    return {"cpu": said["cpu"], "isa": said["isa"], "threads": THREADS}
