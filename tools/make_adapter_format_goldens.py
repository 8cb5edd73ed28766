#!/usr/bin/env python3
"""Writes tests/golden/formats, hostile and loralib: adapters of tests/golden/adapters in the formats of others, and bad files.

    python3 tools/make_adapter_format_goldens.py [GOLDEN]

Each folder or file NAME-FORMAT holds the adapter NAME, so that it must give that adapter's logits. PEFT itself writes
adapter_model.bin; mlx-lm's folder and llama.cpp's file are written as mlx_lm/tuner and convert_lora_to_gguf.py lay them
out. Needs tools/peers-requirements.txt.
"""

import json
import math
import os
import shutil
import sys
from collections import OrderedDict
from pathlib import Path

import numpy
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

import gguf
from make_goldens import gguf_name, heads_of, permute, write_json

PREFIX = "base_model.model."


def bare(key):
    return key.removeprefix(PREFIX).removesuffix(".weight")


def write_bin(base, adapter, folder):
    PeftModel.from_pretrained(base, adapter).save_pretrained(folder, safe_serialization=False)
    assert not (folder / "adapter_model.safetensors").exists()
    (folder / "README.md").unlink(missing_ok=True)
    shutil.copy(adapter / "adapter_config.json", folder)


def write_odd_bin(adapter, folder):
    """What else torch.save writes for a dict of tensors: an OrderedDict with a module's _metadata, parameters, f64,
    transposed views, two tensors in one storage, and a later pickle protocol."""
    tensors = load_file(adapter / "adapter_model.safetensors")
    state = OrderedDict()
    shared = torch.cat([t.reshape(-1) for t in tensors.values()])
    at = 0
    for i, (key, t) in enumerate(tensors.items()):
        kinds = [t.double(), torch.nn.Parameter(t), t.t().contiguous().t(), shared[at : at + t.numel()].view(t.shape)]
        state[key] = kinds[i % len(kinds)]
        at += t.numel()
    assert any(not t.is_contiguous() for t in state.values())
    state._metadata = OrderedDict(version=1)
    folder.mkdir()
    torch.save(state, folder / "adapter_model.bin", pickle_protocol=4)
    shutil.copy(adapter / "adapter_config.json", folder)


def write_legacy_bin(adapter, folder):
    folder.mkdir()
    tensors = load_file(adapter / "adapter_model.safetensors")
    torch.save(tensors, folder / "adapter_model.bin", _use_new_zipfile_serialization=False)
    shutil.copy(adapter / "adapter_config.json", folder)


class Command:
    """What a hostile file does where it is unpickled with care for nothing."""

    def __reduce__(self):
        return os.system, ("touch executed",)


def write_hostile(adapter, root):
    """Files that must be refused: a command among the tensors, and a factor with a NaN."""
    tensors = load_file(adapter / "adapter_model.safetensors")
    first = sorted(tensors)[0]
    bad = tensors[first].clone()
    bad[0, 1] = math.nan
    for name, value in [("command", Command()), ("nan", bad)]:
        (root / name).mkdir(parents=True)
        torch.save({**tensors, first: value}, root / name / "adapter_model.bin")
        shutil.copy(adapter / "adapter_config.json", root / name)


def write_mlx(adapter, folder):
    config = json.loads((adapter / "adapter_config.json").read_text())
    tensors = {}
    for key, t in load_file(adapter / "adapter_model.safetensors").items():
        module, part = bare(key).rsplit(".", 1)
        tensors[f"{module}.{part.lower()}"] = t.t().contiguous()
    folder.mkdir()
    save_file(tensors, folder / "adapters.safetensors")
    rank = config["r"]
    keys = sorted({k.split(".", 3)[3].rsplit(".", 1)[0] for k in tensors})
    scale = config["lora_alpha"] / rank
    parameters = {"rank": rank, "scale": scale, "dropout": config["lora_dropout"], "keys": keys}
    settings = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": parameters, "model": "llama"}
    write_json(folder / "adapter_config.json", settings)


def write_loralib(folder):
    """A state dict as loralib's lora_state_dict gives it: a MergedLinear with two enabled parts, a Linear, and a head.
    delta.safetensors has each layer's B A, by the grouped convolution of MergedLinear.merge_AB."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    torch.manual_seed(60)
    state = OrderedDict()
    state["h.0.attn.c_attn.lora_A"], state["h.0.attn.c_attn.lora_B"] = torch.randn(4, 6), torch.randn(10, 2)
    state["h.0.mlp.lora_A"], state["h.0.mlp.lora_B"] = torch.randn(3, 6), torch.randn(5, 3)
    state["classifier.weight"] = torch.randn(2, 6)
    torch.save(state, folder / "merged.pt")
    delta = {}
    for module, parts in [("h.0.attn.c_attn", 2), ("h.0.mlp", 1)]:
        a, b = state[f"{module}.lora_A"], state[f"{module}.lora_B"]
        delta[module] = torch.nn.functional.conv1d(a.unsqueeze(0), b.unsqueeze(-1), groups=parts).squeeze(0).contiguous()
    save_file(delta, folder / "delta.safetensors")


def write_gguf(base, adapter, path):
    config = json.loads((adapter / "adapter_config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(config["lora_alpha"]))
    for key, t in load_file(adapter / "adapter_model.safetensors").items():
        module, part = bare(key).rsplit(".", 1)
        values, heads = t.numpy(), heads_of(module + ".", base.config)
        if part == "lora_B" and heads:
            values = permute(values, heads)
        writer.add_tensor(f"{gguf_name(module + '.weight')}.{part.lower()}", numpy.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    golden = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "tests" / "golden")
    root, adapters = golden / "formats", golden / "adapters"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    base = LlamaForCausalLM.from_pretrained(golden / "models" / "llama").eval()
    for name in ["qv", "patterns"]:
        write_bin(base, adapters / name, root / f"{name}-bin")
    write_odd_bin(adapters / "all-linear", root / "all-linear-bin")
    write_legacy_bin(adapters / "qv", root / "qv-legacy")
    shutil.rmtree(golden / "hostile", ignore_errors=True)
    write_hostile(adapters / "qv", golden / "hostile")
    write_loralib(golden / "loralib")
    for name in ["qv", "all-linear"]:
        write_mlx(adapters / name, root / f"{name}-mlx")
        write_gguf(base, adapters / name, root / f"{name}-gguf.gguf")
    for file in [f for name in ["formats", "hostile", "loralib"] for f in (golden / name).rglob("*")]:
        file.chmod(0o755 if file.is_dir() else 0o644)
    print(f"{sum(f.stat().st_size for f in root.rglob('*') if f.is_file())} bytes in {root}")


if __name__ == "__main__":
    main()
