"""Twenty steps of training for every kind of adapter, in PEFT and in lorac, from the same adapter over the same rows:
equal losses, and equal numbers at the end. check_kinds.py runs it."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy
from safetensors.numpy import load_file

from kinds import BASES, OPTIMIZERS, make_base, open_adapter, open_base, random_adapter, save_adapter, settings_of, train
from make_goldens import make_rows
from peer import attempt, difference, laid_out, metrics

STEPS, BATCH = 20, 2
LOSSES, NUMBERS = 1e-3, 1e-3  # limits
HEAD = ["base", "kind", "targets", "options", "optimiser", "losses", "adapter"]

RUNS = [
    ("untied", "lora", "all-linear", "", "AdamW"),
    ("biased", "rslora", "default", "", "AdamW"),
    ("untied", "dora", "all-linear", "", "AdamW"),
    ("biased", "dora", "patterns", "", "AdamW"),
    ("gpt2", "dora", "all-linear", "", "AdamW"),
    ("biased", "lora_bias", "all-linear", "", "AdamW"),
    ("gpt2", "lora_bias", "default", "", "AdamW"),
    ("tied", "lora", "embed_tokens, q_proj", "", "AdamW"),
    ("untied", "lora", "lm_head, embed_tokens", "", "AdamW"),
    ("untied", "dora", "embed_tokens, q_proj", "", "AdamW"),
    ("tied", "dora", "lm_head", "", "AdamW"),
    ("gpt2", "lora", "wte, c_attn", "", "AdamW"),
    ("tied", "lora", "embed_tokens", "weights tied", "AdamW"),
    ("tied", "lora", "default", "save lm_head", "AdamW"),
    ("untied", "lora", "default", "save embed_tokens", "AdamW"),
    ("tied", "lora", "default", "save both", "AdamW"),
    ("untied", "lora", "default", "save norm", "AdamW"),
    ("gpt2", "lora", "default", "save ln_f", "AdamW"),
    ("tied", "lora", "default", "weights tied, save embed_tokens", "AdamW"),
    ("biased", "lora", "default", "bias all", "AdamW"),
    ("biased", "dora", "default", "bias lora_only", "AdamW"),
    ("gpt2", "lora", "default", "bias all", "AdamW"),
    ("gpt2", "lora", "default", "bias lora_only", "AdamW"),
    ("tied", "lora", "default", "tokens", "AdamW"),
    ("untied", "lora", "default", "tokens", "AdamW"),
    ("untied", "dora", "all-linear", "different tokens", "AdamW"),
    ("gpt2", "lora", "default", "tokens", "AdamW"),
    ("untied", "lora", "all-linear", "", "LoRA+"),
    ("biased", "dora", "default", "bias lora_only", "LoRA+"),
    ("untied", "lora", "embed_tokens, q_proj", "", "LoRA+"),
    ("untied", "lora", "default", "save both", "LoRA+"),
    ("untied", "lora", "all-linear", "", "LoRA-FA"),
    ("biased", "rslora", "patterns", "", "LoRA-FA"),
    ("gpt2", "lora", "default", "", "LoRA-FA"),
]


@dataclass
class Trajectory:
    run: tuple
    losses: str = ""
    adapter: str = ""
    verdict: str = "equal"
    problem: str = ""

    def shown(self):
        return [*self.run, self.losses or self.verdict, self.adapter or self.verdict]


def flags_of(options):
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def train_with_lorac(base, initial, rows, out, optimizer_name):
    _, rate, flags = OPTIMIZERS[optimizer_name]
    options = "--no-shuffle --dtype f32 --lr-schedule constant --warmup-steps 0 --weight-decay 0.01 --max-grad-norm 1"
    options += f" --steps {STEPS} --batch-size {BATCH} --lr {rate} --steps-per-report 1 --save-every 0"
    return attempt("train", "-m", base, "--data", rows, "--adapter", initial, "-o", out, *options.split(), *flags_of(flags))


def with_gradient(name, values):
    """A constant added to all keys changes no attention (where no rotation follows): that third of GPT-2's bias has no
    gradient but rounding, which Adam makes large."""
    if ".c_attn." in name and name.endswith("bias"):
        queries, _, rest = numpy.split(values, 3)
        return numpy.concatenate([queries, rest])
    return values


def compare_tensors(trajectory, ours, theirs):
    """Frozen weights that PEFT files beside adapted embeddings may be missing."""
    for name in ours.keys() ^ theirs.keys():
        if not name.endswith("base_layer.weight"):
            return fail(trajectory, f"only {'lorac' if name in ours else 'PEFT'} has {name}")
    both = ours.keys() & theirs.keys()
    apart = {name: difference(*(with_gradient(name, side[name]) for side in (ours, theirs))) for name in both}
    worst = max(apart, key=apart.get)
    trajectory.adapter = f"{apart[worst]:.0e}"
    if not apart[worst] <= NUMBERS:
        fail(trajectory, f"{worst} is {apart[worst]:.1e} apart")


def fail(trajectory, problem):
    trajectory.verdict = "FAILED"
    trajectory.problem += problem + "; "


def compare(run, base, folder, seed):
    trajectory, settings = Trajectory(run), settings_of(*run[1:4])
    rows, initial, out = make_rows(STEPS, seed), folder / "initial", folder / "out"
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    save_adapter(random_adapter(open_base(base), seed, **settings), initial)
    model, _ = open_adapter(base, initial, trained=True)
    losses = train(model, settings, rows, STEPS, BATCH, run[4])
    save_adapter(model, folder / "expected")
    done = train_with_lorac(base, initial, folder / "rows.jsonl", out, run[4])
    if done.returncode:
        trajectory.verdict = "refused" if done.returncode == 2 else "FAILED"
        trajectory.problem = f"exit code {done.returncode}, {done.stderr.strip()[-300:]}"
        return trajectory
    apart = [abs(row["loss"] - loss) / loss for row, loss in zip(metrics(out), losses, strict=True)]
    trajectory.losses = f"{max(apart):.0e}"
    if not max(apart) <= LOSSES:
        step = apart.index(max(apart))
        fail(trajectory, f"loss of step {step + 1}: {metrics(out)[step]['loss']}, PEFT: {losses[step]}")
    name = "adapter_model.safetensors"
    compare_tensors(trajectory, load_file(out / name), load_file(folder / "expected" / name))
    return trajectory


def run_all(wanted):
    results, widths = [], [max(map(len, column)) for column in zip(HEAD[:5], *RUNS)] + [8, 8]
    print("\ntraining\n" + laid_out(HEAD, widths), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        bases = {name: make_base(name, Path(temporary) / name) for name in BASES}
        for number, run in enumerate(RUNS):
            if wanted not in " ".join(run):
                continue
            with tempfile.TemporaryDirectory(dir=temporary) as folder:
                trajectory = compare(run, bases[run[0]], Path(folder), 2000 + number)
            print(laid_out(trajectory.shown(), widths), flush=True)
            if trajectory.problem:
                print("    " + " ".join(trajectory.problem.replace(f"{folder}/", "").split()))
            results.append(trajectory)
    return results
