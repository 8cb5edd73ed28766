#!/usr/bin/env python3
"""Classifiers against transformers and PEFT, on tiny models and on SmolLM2: twenty steps from PEFT's first adapter over
the same rows, what PEFT makes of the adapter that lorac trained, and what transformers makes of the merged model."""

import json
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, get_scheduler

from make_classifier_goldens import loss_of, make_rows
from peer import MODELS, logits, lorac, metrics, real_model, real_model_folder, real_text, same

STEPS, BATCH, LABELS = 20, 2, 2


def open_base(path):
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=LABELS, dtype=torch.float32)
    return model.eval()


def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].numpy()


def train_with_peft(base, rows, initial, rate):
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="SEQ_CLS")
    model = get_peft_model(open_base(base), config)
    model.save_pretrained(initial)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    schedule = get_scheduler("linear", optimizer, 2, STEPS)
    losses, norms = [], []
    for step in range(STEPS):  # in evaluation mode: GPT-2's own dropouts are not ours
        loss = loss_of(model, rows[step * BATCH : (step + 1) * BATCH])
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, 1.0).item())
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses, norms


def check(name, base, rows, rate, folder):
    folder.mkdir()
    data, out, merged = folder / "rows.jsonl", folder / "out", folder / "merged"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    losses, norms = train_with_peft(base, rows, folder / "initial", rate)
    options = "--no-shuffle --dtype f32 --lr-schedule linear --warmup-steps 2 --weight-decay 0.01 --steps-per-report 1"
    options += f" --steps {STEPS} --batch-size {BATCH} --lr {rate}"
    lorac("train", "-m", base, "--data", data, "--adapter", folder / "initial", "-o", out, *options.split())
    steps = metrics(out)
    print("PEFT ", " ".join(f"{x:.4f}" for x in losses))
    print("lorac", " ".join(f"{row['loss']:.4f}" for row in steps))
    same(f"{name}: losses", [row["loss"] for row in steps], losses, 1e-3)
    same(f"{name}: gradient norms", [row["grad_norm"] for row in steps], norms, 5e-3)
    ours, theirs = (load_file(where / "adapter_model.safetensors") for where in [out, folder / "initial"])
    if ours.keys() != theirs.keys():
        raise SystemExit("FAIL the adapters hold different tensors")

    ids = rows[0]["input_ids"]
    expected = logits_of(PeftModel.from_pretrained(open_base(base), out).eval(), ids)
    same(f"{name}: our adapter in PEFT", logits(folder, base, ids, "--adapter", out), expected)
    lorac("merge", "-m", base, "--adapter", out, "-o", merged, "--outtype", "f32")
    opened = AutoModelForSequenceClassification.from_pretrained(merged, dtype=torch.float32).eval()
    same(f"{name}: merged, in transformers", logits_of(opened, ids), expected)
    same(f"{name}: merged, in lorac", logits(folder, merged, ids), expected)


def text_rows(folder):
    path = folder / "text.jsonl"
    texts = [row["prompt"] if "prompt" in row else row["messages"][0]["content"] for row in real_text(STEPS * BATCH)]
    path.write_text("".join(json.dumps({"text": text, "label": i % LABELS}) + "\n" for i, text in enumerate(texts)))
    shown = lorac("data", "show", "-m", real_model(), "--data", path, "--task", "seq_cls", "--json")
    return [json.loads(line) for line in shown.splitlines()]


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ["llama", "gpt2"]:
            check(name, MODELS / name, make_rows(STEPS * BATCH, 11, LABELS), 0.01, folder / name)
        rows = text_rows(folder)
        check("SmolLM2", real_model_folder(), rows, 5e-4, folder / "smollm2")


if __name__ == "__main__":
    main()
