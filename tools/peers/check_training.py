#!/usr/bin/env python3
"""Ten steps on SmolLM2 in f32, from the same first adapter over the same rows: lorac's losses follow PEFT's."""

import json
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, get_scheduler

from make_goldens import batch_of
from peer import lorac, metrics, real_model, real_model_folder, real_text, same, tokenised

STEPS, BATCH, LEARNING_RATE = 10, 2, 5e-4


def train_with_peft(rows, initial):
    base = AutoModelForCausalLM.from_pretrained(real_model_folder(), dtype=torch.float32)
    torch.manual_seed(0)
    model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.save_pretrained(initial)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.01)
    schedule = get_scheduler("linear", optimizer, 2, STEPS)
    losses, norms = [], []
    for step in range(STEPS):
        loss = model(**batch_of(rows[step * BATCH : (step + 1) * BATCH])).loss
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, 1.0).item())
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses, norms


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows = tokenised(folder, real_model(), real_text(STEPS * BATCH))
        parsed = [json.loads(line) for line in rows.read_text().splitlines()]
        losses, norms = train_with_peft(parsed, folder / "initial")
        out = folder / "out"
        options = "--no-shuffle --dtype f32 --lr-schedule linear --warmup-steps 2 --weight-decay 0.01 --max-grad-norm 1"
        options += f" --steps {STEPS} --batch-size {BATCH} --lr {LEARNING_RATE} --steps-per-report 1"
        lorac("train", "-m", real_model(), "--data", rows, "--adapter", folder / "initial", "-o", out, *options.split())
        steps = metrics(out)
        print("PEFT ", " ".join(f"{x:.5f}" for x in losses))
        print("lorac", " ".join(f"{row['loss']:.5f}" for row in steps))
        same("losses of 10 steps on SmolLM2", [row["loss"] for row in steps], losses, 1e-3)
        same("gradient norms", [row["grad_norm"] for row in steps], norms, 5e-3)
        ours, theirs = (load_file(where / "adapter_model.safetensors") for where in [out, folder / "initial"])
        if ours.keys() != theirs.keys():
            raise SystemExit("FAIL the adapters hold different tensors")


if __name__ == "__main__":
    main()
