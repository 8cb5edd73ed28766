#!/usr/bin/env python3
"""State dicts of loralib, imported: PEFT loads them whole, and each layer's change is the one that loralib computes."""

import json
import sys
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import GPT2Config, GPT2LMHeadModel, RobertaConfig, RobertaForSequenceClassification

from make_goldens import IDS, logits_of
from peer import ROOT, lorac, logits, same

MNLI = ROOT.parent / "shared" / "data" / "loralib" / "roberta_base_lora_mnli.bin"


def loralib_delta(a, b, enabled, alpha, rank):
    """MergedLinear.merge_AB with zero_pad."""
    change = torch.nn.functional.conv1d(a.unsqueeze(0), b.unsqueeze(-1), groups=sum(enabled)).squeeze(0)
    parts = iter(change.chunk(sum(enabled)))
    zero = torch.zeros(change.shape[0] // sum(enabled), change.shape[1])
    return torch.cat([next(parts) if on else zero for on in enabled]) * (alpha / rank)


def check_merged(folder, enabled, flags):
    torch.manual_seed(3)
    config = GPT2Config(n_embd=32, n_head=4, n_layer=2, n_positions=32, vocab_size=70, bos_token_id=1, eos_token_id=2)
    base, state, rank, alpha = GPT2LMHeadModel(config).eval(), {}, 3, 12
    k = sum(enabled)
    for i in range(2):
        state[f"transformer.h.{i}.attn.c_attn.lora_A"] = torch.randn(k * rank, 32) * 0.2
        state[f"transformer.h.{i}.attn.c_attn.lora_B"] = torch.randn(k * 32, rank) * 0.2
    name = "".join("ty"[on] for on in enabled)
    model, file, out = folder / f"gpt2-{name}", folder / f"{name}.pt", folder / f"peft-{name}"
    base.save_pretrained(model)
    torch.save(state, file)
    lorac("import", file, "--alpha", alpha, "-m", model, "-o", out, *flags)
    adapted = PeftModel.from_pretrained(base, out).eval()
    for i in range(2):
        layer = adapted.base_model.model.transformer.h[i].attn.c_attn
        stem = f"transformer.h.{i}.attn.c_attn.lora_"
        expected = loralib_delta(state[stem + "A"], state[stem + "B"], enabled, alpha, rank)
        same(f"{name}, layer {i} in PEFT", layer.get_delta_weight("default").detach().T, expected, 1e-6)
    same(f"{name}, logits in lorac", logits(folder, model, IDS, "--adapter", out), logits_of(adapted))


def check_mnli(folder):
    if not MNLI.exists():
        print(f"SKIPPED: {MNLI} is not there")
        return
    out = folder / "mnli"
    lorac("import", MNLI, "--alpha", 16, "-o", out)
    config = RobertaConfig(vocab_size=50, intermediate_size=32, num_labels=3)
    adapted = PeftModel.from_pretrained(RobertaForSequenceClassification(config), out)
    have = {name.replace(".default", ""): p for name, p in adapted.named_parameters()}
    state = torch.load(MNLI, map_location="cpu")
    for name, expected in state.items():
        if "lora_" in name:
            got = have[f"base_model.model.{name}.weight"]
        else:
            top, rest = name.split(".", 1)
            got = have[f"base_model.model.{top}.modules_to_save.{rest}"]
        if not torch.equal(got.detach(), expected):
            sys.exit(f"FAIL {name} is not what PEFT has")
    print(f"ok   all {len(state)} tensors of {MNLI.name} are in PEFT's model, unchanged")
    scale = json.loads((out / "adapter_config.json").read_text())
    if scale["lora_alpha"] != 16 or scale["r"] != 8:
        sys.exit("FAIL the configuration says another scale")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_merged(folder, [True, False, True], [])
        check_merged(folder, [True, True, False], ["--enable-lora", "true,true,false"])
        check_merged(folder, [True, True, True], [])
        check_mnli(folder)


if __name__ == "__main__":
    main()
