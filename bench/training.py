"""Training beside PEFT: speed, time to the first step, memory; and lorac beside itself with quantised weights and
higher ranks. Every function returns lines of the table."""

import inputs
from measure import each, take_turns
from programs import beside, lorac_json, lorac_train, peft_train, run_lorac_train, run_peft_train
from table import Goal, Line

# dtype, rows a batch, steps, goal at the same batch: batch 8 takes the 32 rows once; batch 1 half of them
CASES = [("bf16", 8, 4, 4.5), ("bf16", 1, 16, None), ("f32", 8, 4, 4.0), ("f32", 1, 16, None)]


def run_cases(rounds):
    seen = {}
    for dtype, batch, steps, _ in CASES:
        options = dict(batch=batch, steps=steps, dtype=dtype)
        programs = {"lorac": lambda o=options: lorac_train(inputs.model_gguf(), inputs.rows(), **o)}
        if beside("peft"):
            theirs = lambda o=options: peft_train(inputs.model_folder(), inputs.rows(), **o)
            programs = {"PEFT": theirs} | programs
        print(f"training {dtype} batch {batch}", flush=True)
        seen[dtype, batch] = {"PEFT": []} | take_turns(rounds, programs)
    return seen


def training(rounds):
    """Rank 16, all-linear, the same rows; lorac on the 4-bit file, PEFT on the same weights decoded."""
    seen = run_cases(rounds)
    lines = []
    for dtype, batch, _, least in CASES:
        ours, theirs = seen[dtype, batch]["lorac"], seen[dtype, batch]["PEFT"]
        goal = Goal(least=least) if least else None
        for key, what in [("steady", "steady"), ("whole", "whole process")]:
            values = dict(lorac=each(ours, key), beside=each(theirs, key), beside_name="PEFT", goal=goal)
            lines.append(Line("training", f"{dtype}, batch {batch}, {what}", "tok/s", **values))
        values = dict(lorac=gigabytes(ours), beside=gigabytes(theirs), beside_name="PEFT", less_is_better=True)
        lines.append(Line("training", f"{dtype}, batch {batch}, peak memory", "GB", **values))
    best = dict(lorac=each(seen["bf16", 8]["lorac"], "steady"), beside=each(seen["bf16", 1]["PEFT"], "steady"))
    lines.append(Line("training", "bf16, batch 8, steady", "tok/s", **best, beside_name="PEFT batch 1", goal=Goal(3)))
    return lines


def gigabytes(seen):
    return [bytes / 1e9 for bytes in each(seen, "peak")]


def start(rounds):
    """From the start of the process to the first training step, 32 rows of text tokenised."""
    text, options = inputs.text_rows(), dict(batch_size=1, steps=1, dtype="bf16")
    programs = {"lorac": lambda: run_lorac_train(inputs.model_gguf(), text, **options).events("plan")[0]}
    if beside("peft"):
        model, theirs = inputs.model_folder(), dict(options, tokenizer=inputs.adapter())
        programs = {"PEFT": lambda: run_peft_train(model, text, **theirs).events("plan")[0]} | programs
    print("start to first step", flush=True)
    seen = {"PEFT": []} | take_turns(rounds, programs)
    values = dict(lorac=seen["lorac"], beside=seen["PEFT"], beside_name="PEFT", less_is_better=True)
    return [Line("start", "start to first training step", "s", **values, goal=Goal(most=1.0, of="value"))]


def memory(rounds):
    """bf16, 8 rows of 512 tokens, all of them trained."""
    rows, options = inputs.rows_of_length(512), dict(batch=8, steps=2, dtype="bf16")
    programs = {"lorac": lambda: lorac_train(inputs.model_gguf(), rows, **options)}
    if beside("peft"):
        programs = {"PEFT": lambda: peft_train(inputs.model_folder(), rows, **options)} | programs
    print("memory of 8 rows of 512 tokens", flush=True)
    seen = {"PEFT": []} | take_turns(rounds, programs)
    words = ["-m", inputs.model_gguf(), "--data", rows, "--batch-size", 8, "--dtype", "bf16", "--steps", 2]
    planned = lorac_json("plan", *words)["memory"]["peak"] if seen["lorac"] else None
    ours, what = gigabytes(seen["lorac"]), "peak memory, bf16, 8 × 512 tokens"
    values = dict(beside=gigabytes(seen["PEFT"]), beside_name="PEFT", less_is_better=True)
    promise = dict(beside=[planned / 1e9] if planned else [], beside_name="lorac plan", less_is_better=True)
    return [
        Line("memory", what, "GB", ours, **values, goal=Goal(least=10)),
        Line("memory", what, "GB", ours, goal=Goal(most=0.9, of="value")),
        Line("memory", what, "GB", ours, **promise, goal=Goal(0.9, 1.1)),
    ]


def quantised(rounds):
    """Training on weights that stay quantised beside the same file decoded once."""
    lines = []
    for name, model in [("Q4_1", inputs.model_gguf), ("Q8_0", inputs.model_q8)]:
        options = dict(batch=8, steps=4, dtype="bf16")
        print(f"{name} kept quantised, and expanded", flush=True)
        programs = {
            "expanded": lambda: lorac_train(model(), inputs.rows(), 8, 4, "--expand", dtype="bf16"),
            "as filed": lambda: lorac_train(model(), inputs.rows(), **options),
        }
        lines += compared("quantised", f"{name} base kept quantised", take_turns(rounds, programs), 0.9)
    print("Q4_1 beside a folder in bf16", flush=True)
    programs = {
        "bf16 folder": lambda: lorac_train(inputs.model_bf16(), inputs.rows(), **options),
        "as filed": lambda: lorac_train(inputs.model_gguf(), inputs.rows(), **options),
    }
    return lines + compared("quantised", "Q4_1 base kept quantised", take_turns(rounds, programs), None)


def rank(rounds):
    options = dict(batch=8, steps=4, dtype="bf16")
    print("rank 64 beside rank 8", flush=True)
    programs = {
        f"rank {r}": lambda r=r: lorac_train(inputs.model_gguf(), inputs.rows(), rank=r, **options) for r in (8, 64)
    }
    return compared("rank", "rank 64, all-linear", take_turns(rounds, programs), 0.9)


def dora(rounds):
    """What DoRA adds to a step of LoRA, in lorac and in PEFT: all four take turns, and every round gives one ratio."""
    options = dict(batch=8, steps=4, dtype="bf16")
    dora_flags = ["--peft-config", inputs.dora_config()]
    programs = {
        "LoRA": lambda: lorac_train(inputs.model_gguf(), inputs.rows(), **options),
        "DoRA": lambda: lorac_train(inputs.model_gguf(), inputs.rows(), 8, 4, *dora_flags, dtype="bf16"),
    }
    if beside("peft"):
        programs |= {
            "PEFT LoRA": lambda: peft_train(inputs.model_folder(), inputs.rows(), **options),
            "PEFT DoRA": lambda: peft_train(inputs.model_folder(), inputs.rows(), 8, 4, "--dora", dtype="bf16"),
        }
    print("DoRA and LoRA", flush=True)
    seen = {"PEFT LoRA": [], "PEFT DoRA": []} | take_turns(rounds, programs)
    ours, theirs = step_ratios(seen["DoRA"], seen["LoRA"]), step_ratios(seen["PEFT DoRA"], seen["PEFT LoRA"])
    values = dict(beside=theirs, beside_name="PEFT", less_is_better=True, goal=Goal(most=1.15, of="value"))
    lines = [Line("dora", "a step of DoRA / of LoRA, bf16, batch 8", "×", ours, **values)]
    for key, unit, less in [("steady", "tok/s", False), ("peak", "GB", True)]:
        for kind in ["LoRA", "DoRA"]:
            pair = [in_unit(seen[name], key) for name in (kind, f"PEFT {kind}")]
            what = f"{kind}, {'steady' if key == 'steady' else 'peak memory'}"
            lines.append(Line("dora", what, unit, *pair, beside_name="PEFT", less_is_better=less))
    return lines


def step_ratios(slow, fast):
    return [quick / late for quick, late in zip(each(fast, "steady"), each(slow, "steady"))]


def in_unit(seen, key):
    return gigabytes(seen) if key == "peak" else each(seen, key)


def compared(group, what, seen, least):
    """Two runs of lorac: speed and memory of the second beside the first."""
    (name, others), (_, ours) = seen.items()
    values = dict(lorac=each(ours, "steady"), beside=each(others, "steady"), beside_name=name)
    lines = [Line(group, what, "tok/s", **values, goal=Goal(least) if least else None)]
    values = dict(lorac=gigabytes(ours), beside=gigabytes(others), beside_name=name, less_is_better=True)
    return lines + [Line(group, f"{what}, peak memory", "GB", **values)]
