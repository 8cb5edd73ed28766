#!/usr/bin/env python3
"""Adapters that began with a part of the base, or with what the rows make of it: PEFT opens what lorac wrote on the base as
it was, and finds lorac's logits."""

import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from make_goldens import IDS, logits_of
from peer import MODELS, ROOT, logits, lorac, same

INITS = ROOT / "tests" / "golden" / "inits"


def check(folder, base, golden, *options):
    out = folder / "-".join([golden, *options]).replace("--", "")
    rows = INITS / golden
    settings = ["--peft-config", rows / "adapter_config.json", "--steps", 5, "--lr", 0.01, "--dtype", "f32", *options]
    lorac("train", "-m", MODELS / base, "--data", rows / "rows.jsonl", "-o", out, *settings)
    model = AutoModelForCausalLM.from_pretrained(MODELS / base, dtype=torch.float32)
    with_peft = logits_of(PeftModel.from_pretrained(model, out).eval())
    same(f"{out.name} in PEFT", with_peft, logits(folder, MODELS / base, IDS, "--adapter", out), 1e-5)


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for golden in sorted(path.name for path in INITS.iterdir()):
            check(folder, golden.split("-")[0], golden)
        for kind in ["orthogonal", "olora", "pissa_niter_8", "gaussian", "false"]:
            check(folder, "gpt2", "gpt2-pissa", "--init-lora-weights", kind)


if __name__ == "__main__":
    main()
