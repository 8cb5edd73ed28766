#!/usr/bin/env python3
"""Writes tests/golden/combined: what PEFT's add_weighted_adapter makes of tests/golden/adapters.

    python3 tools/make_combine_goldens.py [GOLDEN]

cases.json lists the cases; NAME.safetensors has PEFT's A and B for each module, whose update is B A. DARE is here with a
density of 1, where nothing is random. Needs tools/peers-requirements.txt.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

PREFIX = "base_model.model."

PAIR = [("qv", 0.7), ("rslora", -0.4)]
TRIPLE = [("qv", 0.5), ("rslora", 0.8), ("all-linear", -0.3)]
SELF = [("qv", 0.6), ("rslora", 0.7), ("qv", -0.2)]
RANKS = [("patterns", -0.5), ("layers", 1.5), ("qv", 0.25)]
PRUNED = dict(density=0.3)
CASES = {
    "linear": dict(adapters=PAIR, method="linear"),
    "linear-one": dict(adapters=[("patterns", -0.6)], method="linear"),
    "cat": dict(adapters=PAIR, method="cat"),
    "cat-ranks": dict(adapters=RANKS, method="cat"),
    "svd": dict(adapters=PAIR, method="svd"),
    "svd-rank": dict(adapters=SELF, method="svd", svd_rank=2),
    "svd-ranks": dict(adapters=RANKS, method="svd"),
    "svd-gpt2": dict(adapters=[("gpt2-default", 1.0), ("gpt2-all-linear", -0.5)], method="svd", svd_rank=3),
    "ties": dict(adapters=SELF, method="ties", **PRUNED),
    "ties-triple": dict(adapters=TRIPLE, method="ties", density=0.6),
    "ties-frequency": dict(adapters=SELF, method="ties", majority_sign="frequency", **PRUNED),
    "ties_svd": dict(adapters=SELF, method="ties_svd", **PRUNED),
    "ties_svd-gpt2": dict(adapters=[("gpt2-default", 1.0), ("gpt2-all-linear", 0.5)], method="ties_svd", density=0.4),
    "dare_linear": dict(adapters=PAIR, method="dare_linear", density=1.0),
    "dare_ties": dict(adapters=SELF, method="dare_ties", density=1.0),
    "dare_linear_svd": dict(adapters=PAIR, method="dare_linear_svd", density=1.0, svd_rank=3),
    "dare_ties_svd": dict(adapters=SELF, method="dare_ties_svd", density=1.0, majority_sign="frequency"),
    "magnitude_prune": dict(adapters=PAIR, method="magnitude_prune", **PRUNED),
    "magnitude_prune_svd": dict(adapters=PAIR, method="magnitude_prune_svd", svd_rank=5, **PRUNED),
}


def base_of(golden, adapters):
    return golden / "models" / ("gpt2" if adapters[0][0].startswith("gpt2") else "llama")


def combined(golden, sources, adapters, method, svd_rank=None, density=None, majority_sign="total"):
    """PEFT's factors by the names of its files, for adapters [(name, weight)] in the folder `sources`."""
    base = AutoModelForCausalLM.from_pretrained(base_of(golden, adapters), dtype=torch.float32)
    names = [f"source{i}" for i in range(len(adapters))]
    model = None
    for name, (folder, _) in zip(names, adapters):
        if model is None:
            model = PeftModel.from_pretrained(base, sources / folder, adapter_name=name)
        else:
            model.load_adapter(sources / folder, adapter_name=name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a density of 1 warns
        model.add_weighted_adapter(
            names, [weight for _, weight in adapters], "combined", combination_type=method, svd_rank=svd_rank,
            density=density, majority_sign_method=majority_sign,
        )
    return {
        f"{PREFIX}{name}.lora_{side}.weight": getattr(module, f"lora_{side}")["combined"].weight.detach().contiguous()
        for name, module in model.base_model.model.named_modules()
        if hasattr(module, "lora_A") and "combined" in module.lora_A
        for side in "AB"
    }


def main():
    golden = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "tests" / "golden")
    folder = golden / "combined"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, case in CASES.items():
        save_file(combined(golden, golden / "adapters", **case), folder / f"{name}.safetensors")
    cases = [{"name": name, **case} for name, case in CASES.items()]
    (folder / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)
    print(f"{sum(f.stat().st_size for f in folder.iterdir())} bytes in {folder}")


if __name__ == "__main__":
    main()
