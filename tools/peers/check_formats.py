#!/usr/bin/env python3
"""The letter of the files that lorac writes, for readers stricter than PEFT and transformers are.

    check_formats.py [FILE ...]

Looks at .safetensors and .gguf files and at adapter_config.json by those names; without arguments, at what the program writes from
the reference models."""

import dataclasses
import json
import struct
import tempfile
import warnings
from pathlib import Path

from gguf import GGUFReader
from peft import LoraConfig
from safetensors import safe_open

from peer import MODELS, lorac, sys  # isort: skip; tells where make_goldens is

from make_goldens import ADAPTERS, make_rows

# All that LoraConfig of PEFT 0.10 took; it refuses any other key.
PEFT_0_10 = set(
    "alpha_pattern auto_mapping base_model_name_or_path bias fan_in_fan_out inference_mode init_lora_weights layer_replication"
    " layers_pattern layers_to_transform loftq_config lora_alpha lora_dropout megatron_config megatron_core modules_to_save peft_type"
    " r rank_pattern revision target_modules task_type use_dora use_rslora".split()
)
NEWER = {"exclude_modules"}  # only where it says something


def need(condition, path, what):
    if not condition:
        sys.exit(f"FAIL {path}: {what}")


def check_safetensors(path):
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    need(length % 8 == 0, path, f"the header has {length} bytes, not a multiple of 8")
    need(raw[8:9] == b"{", path, "the header does not begin with {")
    need(header.pop("__metadata__", {}).get("format") == "pt", path, "the metadata does not say format pt")
    with safe_open(path, framework="numpy") as file:
        need(set(file.keys()) == set(header), path, "the package sees other names")
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}
    need(all(shapes[name] == entry["shape"] for name, entry in header.items()), path, "the package sees other shapes")


def check_gguf(path):
    reader = GGUFReader(path)
    need(reader.fields["GGUF.version"].contents() == 3, path, "the version is not 3")
    need("general.architecture" in reader.fields, path, "there is no general.architecture")
    offset = 0
    for tensor in reader.tensors:
        need(tensor.data_offset - reader.data_offset == offset, path, f"{tensor.name} is not where the one before it ends")
        need(tensor.data.nbytes == tensor.n_bytes, path, f"{tensor.name} is cut short")
        offset += -(-tensor.n_bytes // 32) * 32
    need(path.stat().st_size == reader.data_offset + offset, path, "the file does not end with its padded tensors")


def check_config(path):
    keys = json.loads(path.read_text())
    extra = set(keys) - PEFT_0_10
    need(extra <= NEWER and all(keys[key] for key in extra), path, f"PEFT 0.10 would refuse {sorted(extra)}")
    need(list(keys) == sorted(keys), path, "the keys are not sorted")
    need(isinstance(keys["lora_alpha"], int) or keys["lora_alpha"] % 1, path, "a whole lora_alpha is written with a point")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = dataclasses.asdict(LoraConfig.from_pretrained(path.parent))
    for key, value in keys.items():
        got = sorted(config[key]) if isinstance(config[key], set) else config[key]
        need(got == value, path, f"PEFT reads {key} as {got!r}")


CHECKS = {".safetensors": check_safetensors, ".gguf": check_gguf, ".json": check_config}


def write_files(folder):
    """An adapter of each kind; and of each model with its last adapter a merged folder and GGUF files."""
    rows, adapters = folder / "rows.jsonl", {}
    rows.write_text("".join(json.dumps(row) + "\n" for row in make_rows(12, 2)))
    for name, settings in ADAPTERS.items():
        given, out = folder / f"given-{name}", folder / f"adapter-{name}"
        base = settings.get("model", "llama")
        LoraConfig(**{key: value for key, value in settings.items() if key != "model"}).save_pretrained(given)
        config = given / "adapter_config.json"
        lorac("train", "-m", MODELS / base, "--data", rows, "--steps", 0, "-o", out, "--peft-config", config)
        yield from [out / "adapter_config.json", out / "adapter_model.safetensors"]
        adapters[base] = out
    for base, adapter in adapters.items():
        yield from write_models(folder / base, MODELS / base, adapter)


def write_models(folder, model, adapter):
    folder.mkdir()
    for kind in ["f32", "bf16"]:
        lorac("merge", "-m", model, "--adapter", adapter, "-o", folder / kind, "--dtype", kind)
        yield from sorted((folder / kind).glob("*.safetensors"))
    for kind in ["f16", "q8_0"]:
        lorac("merge", "-m", model, "--adapter", adapter, "-o", folder / f"{kind}.gguf", "--outtype", kind)
        yield folder / f"{kind}.gguf"
    lorac("export", "-m", model, "--adapter", adapter, "--to", "gguf-adapter", "-o", folder / "adapter.gguf")
    yield folder / "adapter.gguf"


def main():
    with tempfile.TemporaryDirectory() as folder:
        for path in map(Path, sys.argv[1:]) if sys.argv[1:] else write_files(Path(folder)):
            CHECKS[path.suffix](path)
            print(f"ok   {path.name}", flush=True)


if __name__ == "__main__":
    main()
