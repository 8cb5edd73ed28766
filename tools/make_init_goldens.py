#!/usr/bin/env python3
"""Writes tests/golden/inits: what PEFT's init_lora_weights makes of tiny models, and 20 training steps from there.

    python3 tools/make_init_goldens.py [FOLDER]

Needs tools/peers-requirements.txt and tests/golden/models, which tools/make_goldens.py writes. What lies where is told in
tests/golden/README.md. Only kinds whose result does not hang on random numbers are here.
"""

import dataclasses
import json
import sys
from pathlib import Path

import torch
from peft import EvaConfig, LoraConfig, get_peft_model
from peft.tuners.lora.config import CordaConfig
from peft.tuners.lora.eva import get_eva_state_dict, initialize_lora_eva_weights
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from make_goldens import batch_of, logits_of, make_rows, write_json

# PEFT takes `dataclass` for one class from a package that it does not require; Python's own does.
sys.modules.setdefault("attr", dataclasses)
from peft.tuners.lora.corda import preprocess_corda  # noqa: E402

STEPS, BATCH, LEARNING_RATE = 20, 3, 0.01

LINEAR = dict(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM")
PATTERNS = dict(rank_pattern={"down_proj": 2, "layers.1.self_attn.q_proj": 6}, alpha_pattern={"v_proj": 12})
CASES = {
    "llama-pissa": ("llama", dict(LINEAR, init_lora_weights="pissa")),
    "llama-pissa-patterns": ("llama", dict(LINEAR, init_lora_weights="pissa", **PATTERNS)),
    "llama-olora": ("llama", dict(LINEAR, init_lora_weights="olora", use_rslora=True)),
    "gpt2-pissa": ("gpt2", dict(LINEAR, init_lora_weights="pissa", fan_in_fan_out=True)),
    "llama-corda": ("llama", dict(LINEAR, init_lora_weights="corda", corda_config=CordaConfig())),
    "llama-corda-keeps": ("llama", dict(LINEAR, init_lora_weights="corda", corda_config=CordaConfig(corda_method="kpm"))),
    "llama-eva": ("llama", dict(LINEAR, init_lora_weights="eva", eva_config=EvaConfig())),
    "gpt2-eva": (
        "gpt2",
        dict(
            LINEAR,
            init_lora_weights="eva",
            fan_in_fan_out=True,
            eva_config=EvaConfig(rho=1.5, whiten=True, adjust_scaling_factors=False, use_label_mask=False),
        ),
    ),
}


def run_rows(model, rows):
    def run():
        with torch.no_grad():
            for row in rows:
                model(input_ids=torch.tensor([row["input_ids"]]))

    return run


def new_model(name, settings, rows):
    base = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32).eval()
    config = LoraConfig(**settings)
    if config.init_lora_weights == "corda":
        config.target_modules = [n for n, m in base.named_modules() if ".layers." in n and n.endswith("_proj")]
        preprocess_corda(base, config, run_model=run_rows(base, rows))
    model = get_peft_model(base, config)
    if config.init_lora_weights == "eva":
        # One batch of all rows, again and again: what PEFT's incremental search finds then is a matter of these rows.
        directions = get_eva_state_dict(model, [batch_of(rows)], show_progress_bar=False)
        initialize_lora_eva_weights(model, eva_state_dict=directions)
    return model


def lora_layers(model):
    for name, module in model.named_modules():
        if hasattr(module, "lora_A") and "default" in module.lora_A:
            yield name.removeprefix("base_model.model."), module


def first_values(model):
    """Of the first layer: what the pair takes from the weight, s B A; and A itself where B is zero."""
    values = {}
    for name, module in lora_layers(model):
        if ".0." not in name:
            continue
        a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
        taken = module.scaling["default"] * b @ a
        values[name] = (taken if b.abs().max() > 0 else a).detach().clone().contiguous()
    return values


def train(model, rows):
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.0)
    losses, norms = [], []
    for step in range(STEPS):
        loss = model(**batch_of([rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)])).loss
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, 1.0).item())
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    return losses, norms


def make(folder, name, settings, rows):
    folder.mkdir(parents=True, exist_ok=True)
    LoraConfig(**settings).save_pretrained(folder)
    with open(folder / "rows.jsonl", "w") as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")
    torch.manual_seed(1)
    model = new_model(name, settings, rows)
    ranks = {n: m.r["default"] for n, m in lora_layers(model)}
    scales = {n: m.scaling["default"] for n, m in lora_layers(model)}
    tensors = {f"first.{n}": v for n, v in first_values(model).items()}
    with model.disable_adapter():
        tensors["frozen_logits"] = logits_of(model)
    losses, norms = train(model, rows)
    tensors["final_logits"] = logits_of(model)
    save_file(tensors, folder / "expected.safetensors")
    settings = dict(model=name, steps=STEPS, batch_size=BATCH, learning_rate=LEARNING_RATE)
    write_json(
        folder / "expected.json",
        {"settings": settings, "loss": losses, "grad_norm": norms, "ranks": ranks, "scales": scales},
    )
    print(f"{folder.name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, ranks {sorted(set(ranks.values()))}")


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden")
    global MODELS
    MODELS = root / "models"
    for seed, (case, (model, settings)) in enumerate(CASES.items()):
        make(root / "inits" / case, model, settings, make_rows(42, 60 + seed))


if __name__ == "__main__":
    main()
