#!/usr/bin/env python3
"""Speed and peak memory against rows a batch, length of rows, rank, threads and size of the model, beside the peers.

    bench/run.sh curves.py measure     into build/curves.json; CURVES=batch,rank: only these; ROUNDS=n (1): medians
    bench/run.sh curves.py draw        from there to docs/plots/*.svg

Rows are made up and as long as said, all of their tokens trained; bf16, rank 16, all-linear where nothing else is said.
A point that a peer cannot do (not enough memory) is missing from its line.
"""

import json
import os
import shutil
import sys

import inputs
from measure import each, median, run, take_turns
from peer import PROGRAM, ROOT
from plot import Panel, draw
from programs import THREADS, beside, llama_generate, lorac_generate, lorac_train, machine, peft_train
from random_models import SHAPES, make_model

OUT = ROOT / "build" / "curves.json"
PICTURES = ROOT / "docs" / "plots"


class Curve:
    """Points by series: {name: [[x, tokens per second, peak bytes], ...]}."""

    def __init__(self, name, x_label, title="Training, tokens per second"):
        self.name, self.x_label, self.title = name, x_label, title
        self.series = {}

    def measure(self, x, programs, speed="steady"):
        print(f"{self.name}: {x}", flush=True)
        for name, seen in take_turns(int(os.environ.get("ROUNDS", 1)), programs).items():
            if seen:
                point = [x, median(each(seen, speed)), median(each(seen, "peak"))]
                self.series.setdefault(name, []).append(point)

    def trained(self, x, with_peft, model, theirs, rows, batch, steps, **options):
        """One point of lorac and, where it is affordable, of PEFT."""
        options["dtype"] = "bf16"
        programs = {"lorac": lambda: lorac_train(model, rows, batch, steps, "--max-seq-length", 8192, **options)}
        if with_peft and beside("peft"):
            programs["PEFT"] = lambda: peft_train(theirs(), rows, batch, steps, **options)
        self.measure(x, programs)


def batch():
    curve = Curve("batch", "rows of 256 tokens a batch")
    for n in (1, 2, 4, 8, 16, 32):
        rows, steps = inputs.rows_of_length(256, 32), 4 if n < 8 else 2
        curve.trained(n, n <= 8, inputs.model_gguf(), inputs.model_folder, rows, n, steps)
    return curve


def length():
    curve = Curve("length", "tokens a row, batches of one row")
    for n in (256, 512, 1024, 2048, 4096, 8192):
        rows, steps = inputs.rows_of_length(n, 1), 3 if n < 4096 else 2
        curve.trained(n, n <= 2048, inputs.model_gguf(), inputs.model_folder, rows, 1, steps)
    return curve


def rank():
    curve = Curve("rank", "rank, batches of 4 rows of 256 tokens")
    rows = inputs.rows_of_length(256)
    for n in (4, 8, 16, 32, 64, 128):
        options = dict(rank=n)
        curve.trained(n, n in (8, 32, 128), inputs.model_gguf(), inputs.model_folder, rows, 4, 3, **options)
    return curve


def threads():
    curve = Curve("threads", "threads, batches of 4 rows of 256 tokens")
    rows = inputs.rows_of_length(256)
    for n in thread_counts():
        curve.trained(n, True, inputs.model_gguf(), inputs.model_folder, rows, 4, 3, threads=n)
    return curve


def thread_counts():
    return sorted({n for n in (1, 2, 4, 8, 16, 32, 64) if n < THREADS} | {THREADS})


def model_size():
    """Random weights in bf16; both programs read the same folder."""
    curve = Curve("model-size", "parameters, batches of one row of 512 tokens")
    rows = inputs.rows_of_length(512)
    for shape in SHAPES:
        model = make_model(inputs.folder() / f"random-{shape.name}", shape)
        curve.trained(shape.parameters(), True, model, lambda m=model: m, rows, 1, 3)
        shutil.rmtree(model)
    return curve


def generation_size():
    """Random weights in Q8_0, one stream."""
    curve = Curve("generation-size", "parameters, Q8_0", "Generation, tokens per second")
    for shape in SHAPES:
        model = make_model(inputs.folder() / f"random-{shape.name}", shape)
        path = inputs.folder() / f"random-{shape.name}.gguf"
        run(PROGRAM, "export", "-m", model, "--to", "gguf", "--outtype", "q8_0", "-o", path)
        shutil.rmtree(model)
        curve.measure(shape.parameters(), generators(path), "generation")
        path.unlink()
    return curve


def generation_threads():
    curve = Curve("generation-threads", "threads, SmolLM2-135M in Q4_1", "Generation, tokens per second")
    for n in thread_counts():
        curve.measure(n, generators(inputs.model_gguf(), threads=n), "generation")
    return curve


def generators(path, threads=THREADS):
    programs = {"lorac": lambda: lorac_generate(path, 1, 64, threads=threads)}
    if beside("llama.cpp"):
        programs["llama.cpp"] = lambda: llama_generate(path, 0, 64, threads=threads)
    return programs


CURVES = {
    "batch": batch,
    "length": length,
    "rank": rank,
    "threads": threads,
    "model-size": model_size,
    "generation-size": generation_size,
    "generation-threads": generation_threads,
}


def measure_curves():
    """What is not measured now stays as it is."""
    results = json.loads(OUT.read_text()) if OUT.exists() else {"curves": {}}
    for name in os.environ.get("CURVES", "").replace(",", " ").split() or CURVES:
        results |= machine()
        results["curves"][name] = vars(CURVES[name]())
        OUT.write_text(json.dumps(results, indent=1) + "\n")


def draw_curves():
    PICTURES.mkdir(exist_ok=True)
    for name, curve in json.loads(OUT.read_text())["curves"].items():
        speeds = {who: [(x, speed) for x, speed, _ in points] for who, points in curve["series"].items()}
        memory = {who: [(x, bytes / 1e9) for x, _, bytes in points] for who, points in curve["series"].items()}
        label = curve["x_label"]
        wide = label.startswith("parameters")
        picture = draw([Panel(curve["title"], label, speeds, wide), Panel("Peak memory, GB", label, memory, wide)])
        (PICTURES / f"{name}.svg").write_text(picture)


if __name__ == "__main__":
    work = {"measure": measure_curves, "draw": draw_curves}.get("".join(sys.argv[1:]))
    work() if work else sys.exit(__doc__)
