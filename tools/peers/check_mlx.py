#!/usr/bin/env python3
"""Adapters between PEFT's folder and mlx-lm, with mlx-lm itself on the CPU: equal logits there and here, and the same bytes back."""

import json
import sys
import tempfile
from pathlib import Path

import numpy
from safetensors.numpy import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from make_goldens import IDS
from peer import MODELS, lorac, logits, other_python, run_other, same

ADAPTERS = Path(MODELS).parent / "adapters"
LLAMA = {"qv": True, "all-linear": True, "rslora": True, "layers": True, "regex-layer1": True, "head": True, "patterns": False}


def tensors_of(folder):
    """Without the base's weights, which PEFT files beside an adapted head."""
    tensors = load_file(Path(folder) / "adapter_model.safetensors")
    return {name: t for name, t in tensors.items() if ".base_layer." not in name}


def check_there_and_back(python, folder, model, adapter, name, same_bytes):
    ours, back, out = folder / f"{name}-mlx", folder / f"{name}-back", folder / "logits.npy"
    lorac("export", "-m", model, "--adapter", adapter, "--to", "mlx", "-o", ours)
    run_other(python, "mlx_peer.py", "logits", mlx_model(model), ours, ",".join(map(str, IDS)), out)
    expected = logits(folder, model, IDS, "--adapter", adapter)
    same(f"{name} in mlx-lm", numpy.load(out), expected)
    lorac("import", ours, "-m", model, "-o", back)
    same(f"{name} back from mlx-lm's folder", logits(folder, model, IDS, "--adapter", back), expected)
    if not same_bytes:
        return
    before, after = tensors_of(adapter), tensors_of(back)
    if before.keys() != after.keys() or any(before[key].tobytes() != after[key].tobytes() for key in before):
        sys.exit(f"FAIL {name}: the tensors are not those that were exported")


def mlx_model(model):
    """mlx-lm wants GPT-2's names without the prefix."""
    return model / "bare" if (model / "bare").exists() else model


def make_gpt2(folder):
    """A GPT-2 of the only proportions that mlx-lm knows."""
    config = GPT2Config(n_embd=32, n_head=4, n_layer=2, n_positions=32, vocab_size=70, bos_token_id=1, eos_token_id=2)
    model = GPT2LMHeadModel(config)
    model.save_pretrained(folder)
    bare = folder / "bare"
    bare.mkdir()
    save_file({name: t.numpy() for name, t in model.transformer.state_dict().items()}, bare / "model.safetensors")
    (bare / "config.json").write_text(json.dumps({**config.to_dict(), "n_ctx": 32}))
    return folder


def train(folder, model, name, settings):
    rows, config, out = folder / "rows.jsonl", folder / "adapter_config.json", folder / name
    rows.write_text(json.dumps({"input_ids": IDS}) + "\n")
    config.write_text(json.dumps({"peft_type": "LORA", "r": 3, **settings}))
    lorac("train", "-m", model, "--data", rows, "--steps", 4, "--lr", 0.05, "--peft-config", config, "-o", out)
    return out


def check_from_mlx(python, folder):
    """An adapter that mlx-lm's own functions made, in lorac and as PEFT's folder."""
    model, made, out = MODELS / "llama", folder / "made", folder / "made.npy"
    run_other(python, "mlx_peer.py", "adapter", model, 3, 2.5, "self_attn.q_proj,mlp.down_proj", made)
    run_other(python, "mlx_peer.py", "logits", model, made, ",".join(map(str, IDS)), out)
    lorac("import", made, "-o", folder / "imported")
    for name in ["made", "imported"]:
        same(f"mlx-lm's adapter, {name}", logits(folder, model, IDS, "--adapter", folder / name), numpy.load(out))
    base = json.loads((folder / "imported" / "adapter_config.json").read_text())["base_model_name_or_path"]
    if base != "somebody/model":
        sys.exit(f"FAIL the base model's name became {base}")


def main():
    python = other_python("mlx")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for adapter, same_bytes in LLAMA.items():
            check_there_and_back(python, folder, MODELS / "llama", ADAPTERS / adapter, adapter, same_bytes)
        gpt2 = make_gpt2(folder / "gpt2")
        check_there_and_back(python, folder, gpt2, train(folder, gpt2, "a", {"target_modules": "all-linear"}), "gpt2-all-linear", True)
        dora = {"use_dora": True, "target_modules": ["q_proj", "o_proj", "down_proj"]}
        check_there_and_back(python, folder, MODELS / "llama", train(folder, MODELS / "llama", "b", dora), "DoRA", True)
        ends = {"target_modules": ["embed_tokens", "v_proj"], "init_lora_weights": False}
        check_there_and_back(python, folder, MODELS / "llama", train(folder, MODELS / "llama", "c", ends), "embedding", True)
        check_from_mlx(python, folder)


if __name__ == "__main__":
    main()
