"""What lorac plan says of time and memory, beside what a run takes; and what it says of models too large for this machine.
Random weights in bf16, rank 16, all-linear, one row of 512 tokens a step."""

import shutil

import inputs
from measure import each, take_turns
from programs import lorac_json, lorac_train
from random_models import HOLLOW, LARGE, SHAPES, make_model
from table import Goal, Line

TOKENS, STEPS = 512, 3
OPTIONS = ["--batch-size", 1, "--max-seq-length", TOKENS, "--dtype", "bf16", "--rank", 16, "--target-modules", "all-linear"]


def planned(model, rows):
    """A plan that does not fit is told all the same: that is what it is for."""
    said = lorac_json("plan", "-m", model, "--data", rows, "--steps", STEPS, *OPTIONS, accept=(0, 4))
    said = said.get("plan", said)  # beside the error of one that does not fit
    return {"seconds": said["step_seconds"], "peak": said["memory"]["peak"] / 1e9}


def trained(model, rows):
    seen = lorac_train(model, rows, 1, STEPS, "--max-seq-length", TOKENS, dtype="bf16")
    return {"seconds": TOKENS / seen["steady"], "peak": seen["peak"] / 1e9}


def compared(shape, rounds, rows):
    model = make_model(inputs.folder() / f"random-{shape.name}", shape)
    seen = take_turns(rounds, {"run": lambda: trained(model, rows), "plan": lambda: planned(model, rows)})
    shutil.rmtree(model)
    lines = []
    for what, unit, key, goal in [("step", "s", "seconds", Goal(0.8, 1.25)), ("peak memory", "GB", "peak", Goal(0.9, 1.1))]:
        values = dict(beside=each(seen["plan"], key), beside_name="lorac plan", less_is_better=True)
        lines.append(Line("plans", f"{shape.name}, {what}", unit, each(seen["run"], key), **values, goal=goal))
    return lines


def foreseen(shape, rows):
    model = make_model(inputs.folder() / f"hollow-{shape.name}", shape, hollow=True)
    plan = planned(model, rows)
    shutil.rmtree(model)
    named = dict(beside_name="lorac plan")
    return [
        Line("plans", f"{shape.name}, step", "s", [], [plan["seconds"]], **named),
        Line("plans", f"{shape.name}, peak memory", "GB", [], [plan["peak"]], **named),
    ]


def plans(rounds):
    rows = inputs.rows_of_length(TOKENS, 1)
    lines = []
    for shape in SHAPES[1:] + [LARGE]:
        print(f"plan and run, {shape.name}", flush=True)
        lines += compared(shape, rounds, rows)
    print("plans of large models", flush=True)
    return lines + [line for shape in HOLLOW for line in foreseen(shape, rows)]
