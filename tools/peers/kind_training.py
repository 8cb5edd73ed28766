"""Twenty steps of training for every kind of adapter, in PEFT and in lorac, from the same adapter over the same rows:
equal losses, and equal numbers at the end. check_kinds.py runs it."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import peft.optimizers.lorafa
import torch
from peft.optimizers import create_lorafa_optimizer, create_loraplus_optimizer
from safetensors.numpy import load_file

from kinds import BASES, make_base, open_adapter, open_base, random_adapter, save_adapter, settings_of
from make_goldens import batch_of, make_rows
from peer import attempt, difference, laid_out, metrics

STEPS, BATCH = 20, 2
LOSSES, NUMBERS = 1e-3, 1e-3  # limits
HEAD = ["base", "kind", "targets", "options", "optimiser", "losses", "adapter"]

# On the CPU PEFT projects gradients for LoRA-FA in bf16 under autocast; in f32, as its formula says:
peft.optimizers.lorafa.is_bf16_available = lambda: False


def adamw(model, _settings, rate):
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)


def loraplus(model, _settings, rate):
    options = dict(lr=rate, loraplus_lr_ratio=8.0, loraplus_weight_decay=0.01)
    return create_loraplus_optimizer(model, torch.optim.AdamW, **options)


def lorafa(model, settings, rate):
    return create_lorafa_optimizer(model, settings["r"], settings["lora_alpha"], rate, weight_decay=0.01)


# PEFT's optimiser, lorac's flags, learning rate
OPTIMIZERS = {
    "AdamW": (adamw, [], 5e-3),
    "LoRA+": (loraplus, ["--loraplus-lr-ratio", 8], 1e-3),
    "LoRA-FA": (lorafa, ["--optimizer", "lora-fa"], 1e-2),
}

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

    def cells(self):
        return [*self.run, self.losses or self.verdict, self.adapter or self.verdict]


def train_with_peft(base, initial, rows, settings, optimizer_name):
    make_optimizer, _, rate = OPTIMIZERS[optimizer_name]
    model, _ = open_adapter(base, initial, trained=True)
    model.train()
    optimizer = make_optimizer(model, settings, rate)
    trained = [p for p in model.parameters() if p.requires_grad]
    losses = []
    for step in range(STEPS):
        loss = model(**batch_of([rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)])).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses, model


def train_with_lorac(base, initial, rows, out, optimizer_name):
    _, flags, rate = OPTIMIZERS[optimizer_name]
    options = "--no-shuffle --dtype f32 --lr-schedule constant --warmup-steps 0 --weight-decay 0.01 --max-grad-norm 1"
    options += f" --steps {STEPS} --batch-size {BATCH} --lr {rate} --steps-per-report 1 --save-every 0"
    return attempt("train", "-m", base, "--data", rows, "--adapter", initial, "-o", out, *options.split(), *flags)


def compare_tensors(trajectory, ours, theirs):
    """Frozen weights that PEFT files beside adapted embeddings may be missing."""
    for name in ours.keys() ^ theirs.keys():
        if not name.endswith("base_layer.weight"):
            return fail(trajectory, f"only {'lorac' if name in ours else 'PEFT'} has {name}")
    apart = {name: difference(ours[name], theirs[name]) for name in ours.keys() & theirs.keys()}
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
    losses, model = train_with_peft(base, initial, rows, settings, run[4])
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
    print("training\n" + laid_out(HEAD, widths), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        bases = {name: make_base(name, Path(temporary) / name) for name in BASES}
        for number, run in enumerate(RUNS):
            if wanted not in " ".join(run):
                continue
            with tempfile.TemporaryDirectory(dir=temporary) as folder:
                trajectory = compare(run, bases[run[0]], Path(folder), 2000 + number)
            print(laid_out(trajectory.cells(), widths), flush=True)
            if trajectory.problem:
                print("    " + " ".join(trajectory.problem.replace(f"{folder}/", "").split()))
            results.append(trajectory)
    return results
