#!/usr/bin/env python3
"""What merge and export write, opened by transformers and by the gguf package: the same tensors, the same logits."""

import sys
import tempfile
from pathlib import Path

import numpy
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from make_goldens import conv1d_weights, gguf_name, heads_of, logits_of, new_adapter, new_model, permute, save_adapter
from peer import MODELS, ROOT, lorac, logits, same

# Rounding of one weight to the type, against the largest weight.
ROUNDING = {"f32": 1e-6, "f16": 5e-4, "bf16": 4e-3, "q8_0": 5e-3}


def merged(name, adapter):
    """The model with PEFT's own merge."""
    base = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32)
    return PeftModel.from_pretrained(base, adapter).merge_and_unload().eval()


def check_folder(folder, name, adapter):
    expected = merged(name, adapter)
    for dtype in ["f32", "bf16"]:
        out = folder / f"merged-{dtype}"
        lorac("merge", "-m", MODELS / name, "--adapter", adapter, "-o", out, "--dtype", dtype)
        model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
        limit = 1e-4 if dtype == "f32" else 5e-2
        same(f"{Path(name).name} merged as {dtype}, in transformers", logits_of(model), logits_of(expected), limit)


def check_gguf(folder, name, adapter, kinds):
    model = merged(name, adapter)
    expected = dict(model.named_parameters())
    for kind in kinds:
        out = folder / f"{Path(name).name}-{kind}.gguf"
        lorac("merge", "-m", MODELS / name, "--adapter", adapter, "-o", out, "--outtype", kind)
        tensors = {t.name: t for t in GGUFReader(out).tensors}
        missing = {gguf_name(n) for n in expected} - set(tensors)
        if missing:
            sys.exit(f"FAIL {out.name} lacks {sorted(missing)}")
        ours, theirs = [], []
        for hf_name, p in expected.items():
            values, heads = p.detach().numpy(), heads_of(hf_name, model.config)
            values = values.T if hf_name in conv1d_weights(model) else values
            tensor = tensors[gguf_name(hf_name)]
            if p.dim() == 2 and tensor.tensor_type.name.lower() != kind:
                sys.exit(f"FAIL {out.name}: {tensor.name} is {tensor.tensor_type.name}")
            ours.append(dequantize(tensor.data, tensor.tensor_type).ravel())
            theirs.append((permute(values, heads) if heads else values).ravel())
        what = f"{Path(name).name} exported as {kind}, tensors in gguf"
        same(what, numpy.concatenate(ours), numpy.concatenate(theirs), ROUNDING[kind])


def check_gguf_adapter(folder, name, adapter):
    config = AutoConfig.from_pretrained(MODELS / name)
    out = folder / "adapter.gguf"
    lorac("export", "-m", MODELS / name, "--adapter", adapter, "--to", "gguf-adapter", "-o", out)
    reader = GGUFReader(out)
    fields = {k: f.contents() for k, f in reader.fields.items()}
    kind = {"general.type": "adapter", "adapter.type": "lora", "general.architecture": config.model_type}
    for key, value in kind.items():
        if fields.get(key) != value:
            sys.exit(f"FAIL gguf adapter: {key} is {fields.get(key)!r}, expected {value!r}")
    same("gguf adapter: alpha", [fields["adapter.lora.alpha"]], [16.0])
    tensors = {t.name: t for t in reader.tensors}
    for key, values in load_file(adapter / "adapter_model.safetensors").items():
        module, letter, _ = key.removeprefix("base_model.model.").rsplit(".", 2)
        values, heads = values.numpy(), heads_of(module + ".", config)
        if letter == "lora_B" and heads:
            values = permute(values, heads)
        tensor = tensors.pop(f"{gguf_name(module + '.weight')}.{letter.lower()}")
        got = dequantize(tensor.data, tensor.tensor_type).reshape(values.shape)
        if not numpy.array_equal(got, values):
            sys.exit(f"FAIL gguf adapter: {tensor.name} differs")
    if tensors:
        sys.exit(f"FAIL gguf adapter: nobody asked for {sorted(tensors)}")
    print(f"ok   gguf adapter for {name}: every tensor equal")


def check_vocabulary(folder):
    """A model with tokenizer and template: both arrive in the GGUF file."""
    from transformers import AutoTokenizer

    source, out = ROOT / "examples" / "tiny-llama", folder / "tiny.gguf"
    lorac("export", "-m", source, "--to", "gguf", "-o", out, "--outtype", "f16")
    fields = GGUFReader(out).fields
    tokenizer = AutoTokenizer.from_pretrained(source)
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    # The embedding has more rows than the tokenizer has tokens; the file needs a token for each.
    if fields["tokenizer.ggml.tokens"].contents()[: len(vocabulary)] != vocabulary:
        sys.exit("FAIL the vocabulary in the GGUF file differs")
    if fields["tokenizer.chat_template"].contents().strip() != tokenizer.chat_template.strip():
        sys.exit("FAIL the chat template in the GGUF file differs")
    if fields["tokenizer.ggml.eos_token_id"].contents() != tokenizer.eos_token_id:
        sys.exit("FAIL the end token in the GGUF file differs")
    print("ok   vocabulary, chat template and end token in the GGUF file")
    text = "The oven in the kitchen was on for 35 minutes."
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    before = logits(folder, source, ids)
    same("the GGUF file read again", logits(folder, out, ids), before, 1e-3)


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # Rows of 32 and 64, so that q8_0 is possible.
        wide = folder / "llama-wide"
        new_model(8, hidden_size=32, intermediate_size=64).save_pretrained(wide)
        for name in ["llama", "llama-tied-bias", "llama-rope-llama3", wide, "gpt2"]:
            base = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32)
            adapter = folder / f"adapter-{Path(name).name}"
            save_adapter(new_adapter(base, 7, r=4, lora_alpha=16, target_modules="all-linear"), adapter)
            check_folder(folder / f"as-folder-{Path(name).name}", name, adapter)
            check_gguf(folder, name, adapter, ["f32", "f16", "bf16", "q8_0"] if name == wide else ["f32"])
        for name in ["llama", "gpt2"]:
            check_gguf_adapter(folder, name, folder / f"adapter-{name}")
        check_vocabulary(folder)


if __name__ == "__main__":
    main()
