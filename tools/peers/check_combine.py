#!/usr/bin/env python3
"""lorac merge --method beside PEFT's add_weighted_adapter, and what both make of the results: equal updates, equal logits."""

import json
import sys
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from make_combine_goldens import CASES, combined
from make_goldens import ADAPTERS, IDS, logits_of, new_adapter, save_adapter
from peer import MODELS, ROOT, logits, lorac, same

GOLDEN = ROOT / "tests" / "golden"
SUFFIX = ".lora_A.weight"


def updates(tensors):
    """B A by module; where PEFT has zeros beside the factors, they are gone here."""
    return {k.removesuffix(SUFFIX): tensors[k.replace("lora_A", "lora_B")] @ tensors[k] for k in tensors if k.endswith(SUFFIX)}


def adapters_of(folder, seed):
    """PEFT's adapters as the goldens have them, with other values."""
    for name, settings in ADAPTERS.items():
        base_name = settings.get("model", "llama")
        settings = {key: value for key, value in settings.items() if key != "model"}
        base = AutoModelForCausalLM.from_pretrained(MODELS / base_name, dtype=torch.float32)
        save_adapter(new_adapter(base, seed, **settings), folder / name, base_name)
        seed += 1


def flags_of(case):
    flags = ["--method", case["method"]]
    for option in ["density", "svd_rank", "majority_sign"]:
        if option in case:
            flags += ["--" + option.replace("_", "-"), case[option]]
    return flags


def check_case(folder, name, case):
    refs = [f"{folder / adapter}:{weight}" for adapter, weight in case["adapters"]]
    out = folder / f"combined-{name}"
    lorac("merge", *[word for ref in refs for word in ("--adapter", ref)], *flags_of(case), "-o", out)
    got, expected = updates(load_file(out / "adapter_model.safetensors")), updates(combined(GOLDEN, folder, **case))
    if got.keys() != expected.keys():
        sys.exit(f"FAIL {name}: other modules: {sorted(got.keys() ^ expected.keys())}")
    keys = sorted(got)
    flat = [torch.cat([side[key].reshape(-1) for key in keys]) for side in (got, expected)]
    same(f"{name}, updates", *flat, tolerance=1e-5)
    return out


def check_loading(folder, name, out, base_name):
    """The folder in PEFT, its patterns and scale included."""
    base = AutoModelForCausalLM.from_pretrained(MODELS / base_name, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, out).eval()
    same(f"{name} in PEFT", logits(folder, MODELS / base_name, IDS, "--adapter", out), logits_of(model))


def check_random(folder):
    """DARE draws its own numbers; over many seeds both come to the linear sum."""
    pair = [("qv", 0.7), ("rslora", -0.4)]
    refs = [word for adapter, weight in pair for word in ("--adapter", f"{folder / adapter}:{weight}")]
    lorac("merge", *refs, "--method", "cat", "-o", folder / "sum")
    expected = updates(load_file(folder / "sum" / "adapter_model.safetensors"))
    key, seeds = "base_model.model.model.layers.0.self_attn.v_proj", 60  # [12, 24]: rank 12 is all of it
    torch.manual_seed(1)
    ours, theirs = [], []
    for seed in range(seeds):
        lorac("merge", *refs, "--method", "dare_linear_svd", "--density", 0.5, "--svd-rank", 12, "--seed", seed,
              "-o", folder / "dare", "--overwrite")
        ours.append(updates(load_file(folder / "dare" / "adapter_model.safetensors"))[key])
    for _ in range(20):
        theirs.append(updates(combined(GOLDEN, folder, pair, "dare_linear_svd", svd_rank=12, density=0.5))[key])
    ours, theirs = torch.stack(ours), torch.stack(theirs)
    error = (ours.mean(0) - expected[key]).norm() / expected[key].norm()
    limit = 1.5 / seeds**0.5  # an entry varies by its own size at density 0.5
    print(f"{'ok  ' if error < limit else 'FAIL'} dare: mean of {seeds} seeds is {error:.2g} from the sum (limit {limit:.2g})")
    spread = ours.std(0).mean() / theirs.std(0).mean()
    print(f"{'ok  ' if 0.85 < spread < 1.15 else 'FAIL'} dare: spread is {spread:.3f} of PEFT's")
    if not (error < limit and 0.85 < spread < 1.15):
        sys.exit(1)


def check_extract(folder):
    """A model that PEFT merged gives the adapter back; PEFT loads it with the base and has the merged model's logits."""
    base = AutoModelForCausalLM.from_pretrained(MODELS / "llama", dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, folder / "patterns").merge_and_unload()
    merged.save_pretrained(folder / "merged")
    lorac("extract", "-m", MODELS / "llama", "--tuned", folder / "merged", "--energy", 0.9999999, "-o", folder / "extracted")
    check_loading(folder, "an extracted adapter", folder / "extracted", "llama")
    same("the extracted adapter", logits(folder, MODELS / "llama", IDS, "--adapter", folder / "extracted"), logits_of(merged))
    report = json.loads(lorac("extract", "--adapter", folder / "all-linear", "--rank", 2, "-o", folder / "two", "--json"))
    full = updates(load_file(folder / "all-linear" / "adapter_model.safetensors"))
    two = updates(load_file(folder / "two" / "adapter_model.safetensors"))
    scale = 4  # lora_alpha 16, r 4
    for module in report["modules"]:
        key = "base_model.model." + module["module"]
        u, s, vt = torch.linalg.svd(scale * full[key].double())
        best = u[:, :2] @ torch.diag(s[:2]) @ vt[:2]
        if not (two[key] - best).norm() < 1e-5 * s[0] or not abs(module["norm"] - s.norm()) < 1e-5 * s.norm():
            sys.exit(f"FAIL rank 2 of {key} is not torch's")
    print(f"ok   rank 2 of an adapter is torch's best in {len(full)} modules")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adapters_of(folder, 700)
        for name, case in CASES.items():
            out = check_case(folder, name, case)
            check_loading(folder, name, out, "gpt2" if "gpt2" in name else "llama")
        check_random(folder)
        check_extract(folder)


if __name__ == "__main__":
    main()
