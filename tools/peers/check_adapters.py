#!/usr/bin/env python3
"""PEFT's adapters in lorac, and lorac's in PEFT: equal logits, equal counts."""

import json
import sys
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from make_goldens import ADAPTERS, IDS, logits_of, make_rows, new_adapter, save_adapter
from peer import MODELS, lorac, logits, same


def base(name="llama"):
    return AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32).eval()


def check_peft_to_lorac(folder):
    for seed, (name, settings) in enumerate(ADAPTERS.items()):
        base_name = settings.get("model", "llama")
        settings = {key: value for key, value in settings.items() if key != "model"}
        model = new_adapter(base(base_name), 100 + seed, **settings)
        save_adapter(model, folder / name, base_name)
        got = logits(folder, MODELS / base_name, IDS, "--adapter", folder / name)
        same(f"PEFT's adapter {name} in lorac", got, logits_of(model))


def check_lorac_to_peft(folder):
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in make_rows(12, 9)))
    common = ["--data", rows, "--steps", 4, "--batch-size", 2, "--lr", 0.02, "--dtype", "f32"]
    cases = {
        "all-linear": ["--rank", 4, "--target-modules", "all-linear"],
        "two names": ["--rank", 3, "--alpha", 5, "--target-modules", "q_proj,down_proj"],
        "a regular expression": ["--rank", 2, "--target-modules", r".*layers\.1\..*(v|up)_proj"],
        "PEFT's patterns": ["--peft-config", folder / "patterns" / "adapter_config.json"],
        "PEFT's rsLoRA": ["--peft-config", folder / "rslora" / "adapter_config.json"],
        "gpt2, all-linear": ["--rank", 4, "--target-modules", "all-linear"],
        "gpt2, PEFT's default": ["--peft-config", folder / "gpt2-default" / "adapter_config.json"],
    }
    for number, (name, arguments) in enumerate(cases.items()):
        out, base_name = folder / f"trained-{number}", "gpt2" if name.startswith("gpt2") else "llama"
        lorac("train", "-m", MODELS / base_name, *common, "-o", out, *arguments)
        model = PeftModel.from_pretrained(base(base_name), out).eval()
        difference = (logits_of(model) - logits_of(base(base_name))).abs().max().item()
        if difference < 1e-3:
            sys.exit(f"FAIL lorac's adapter ({name}) changes nothing in PEFT")
        ours = logits(folder, MODELS / base_name, IDS, "--adapter", out)
        same(f"lorac's adapter ({name}) in PEFT", ours, logits_of(model))


def check_sum(folder):
    both = ["--adapter", folder / "qv", "--adapter", folder / "layers"]
    model = PeftModel.from_pretrained(base(), folder / "qv", adapter_name="a")
    model.load_adapter(folder / "layers", adapter_name="b")
    model.base_model.set_adapter(["a", "b"])
    same("two adapters together", logits(folder, MODELS / "llama", IDS, *both), logits_of(model.eval()))


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_peft_to_lorac(folder)
        check_lorac_to_peft(folder)
        check_sum(folder)


if __name__ == "__main__":
    main()
