#!/usr/bin/env python3
"""Adapters between lorac and PEFT 0.10 with a transformers of its time: each loads what the other wrote, with equal logits."""

import json
import tempfile
from pathlib import Path

import numpy

from make_goldens import IDS, make_rows
from peer import MODELS, lorac, logits, other_python, run_other, same

IDS_TEXT = ",".join(map(str, IDS))

FROM_LORAC = {
    "all-linear": ["--rank", 4, "--target-modules", "all-linear"],
    "two names": ["--rank", 3, "--alpha", 5, "--target-modules", "q_proj,down_proj"],
    "a regular expression": ["--rank", 2, "--target-modules", r".*layers\.1\..*(v|up)_proj"],
    "rsLoRA": dict(r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "o_proj"]),
    "patterns": dict(r=4, target_modules=["q_proj", "k_proj"], rank_pattern={"k_proj": 2}, alpha_pattern={"q_proj": 3}),
    "gpt2, all-linear": ["--rank", 4, "--target-modules", "all-linear"],
    "gpt2, default": dict(r=4, lora_alpha=8),
}

FROM_PEFT = {
    "all-linear": dict(r=4, lora_alpha=16, target_modules="all-linear"),
    "as .bin": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], safe=False),
    "patterns": dict(r=4, lora_alpha=8, target_modules=["q_proj", "up_proj"], rank_pattern={"up_proj": 6}, alpha_pattern={"q_proj": 3}),
    "rsLoRA": dict(r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "o_proj"]),
    "layers": dict(r=3, lora_alpha=8, target_modules=["v_proj"], layers_to_transform=[1]),
    "gpt2, default": dict(r=4, lora_alpha=8),
}


def model_of(name):
    return MODELS / ("gpt2" if name.startswith("gpt2") else "llama")


def write_settings(folder, settings):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(settings))
    return path


def check_from_lorac(python, folder):
    rows, out = folder / "rows.jsonl", folder / "theirs.npy"
    rows.write_text("".join(json.dumps(row) + "\n" for row in make_rows(12, 9)))
    common = ["--data", rows, "--steps", 4, "--batch-size", 2, "--lr", 0.02, "--dtype", "f32"]
    for number, (name, settings) in enumerate(FROM_LORAC.items()):
        adapter = folder / f"trained-{number}"
        if isinstance(settings, dict):
            settings = ["--peft-config", write_settings(folder, {"peft_type": "LORA", **settings})]
        lorac("train", "-m", model_of(name), *common, "-o", adapter, *settings)
        run_other(python, "peft_0_10_peer.py", "logits", model_of(name), adapter, IDS_TEXT, out)
        same(f"lorac's adapter ({name}) in PEFT 0.10", logits(folder, model_of(name), IDS, "--adapter", adapter), numpy.load(out))


def check_from_peft(python, folder):
    out = folder / "theirs.npy"
    for number, (name, settings) in enumerate(FROM_PEFT.items()):
        adapter = folder / f"made-{number}"
        run_other(python, "peft_0_10_peer.py", "adapter", model_of(name), write_settings(folder, settings), adapter)
        run_other(python, "peft_0_10_peer.py", "logits", model_of(name), adapter, IDS_TEXT, out)
        same(f"PEFT 0.10's adapter ({name}) in lorac", logits(folder, model_of(name), IDS, "--adapter", adapter), numpy.load(out))


def main():
    python = other_python("peft-0.10")
    with tempfile.TemporaryDirectory() as name:
        check_from_lorac(python, Path(name))
        check_from_peft(python, Path(name))


if __name__ == "__main__":
    main()
