#!/usr/bin/env python3
"""Writes tests/golden/verbs: what PEFT says and computes while adapters of tests/golden/adapters are loaded, switched,
scaled, merged, swapped and deleted: expected.json has the status after each step, logits.f32 the logits of the steps that
have an index in it.

    python3 tools/make_verb_goldens.py [FOLDER]

It needs what make_goldens.py needs, its models and its adapters.
"""

import dataclasses
import sys
from pathlib import Path

import numpy
import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils.hotswap import hotswap_adapter
from transformers import AutoModelForCausalLM

from make_goldens import IDS, write_json

GOLDEN = Path(__file__).resolve().parent.parent / "tests/golden"
LEFT_OUT = ("devices", "quantization_backend")


def status_of(model):
    def told(status):
        return {key: value for key, value in dataclasses.asdict(status).items() if key not in LEFT_OUT}

    layers = [told(layer) for layer in model.get_layer_status()]
    for layer in layers:
        layer["name"] = layer["name"].removeprefix("model.")
    return told(model.get_model_status()) | {"layers": layers}


class Recorder:
    def __init__(self, model):
        self.model, self.steps, self.logits = model, {}, []

    def status(self, name):
        self.steps[name] = {"status": status_of(self.model)}

    def run(self, name, names=None):
        rows = torch.tensor([IDS] * (len(names) if names else 1))
        with torch.no_grad():
            logits = self.model.eval()(rows, **({"adapter_names": names} if names else {})).logits
        self.steps.setdefault(name, {})["logits"] = len(self.logits)
        self.logits.extend(logits.float().numpy())


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN / "verbs"
    adapter = {name: str(GOLDEN / "adapters" / name) for name in ("qv", "all-linear", "rslora")}
    base = AutoModelForCausalLM.from_pretrained(GOLDEN / "models/llama", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter["qv"], adapter_name="b")
    model.set_adapter("b")
    tuner, record = model.base_model, Recorder(model)

    model.load_adapter(adapter["all-linear"], "a", is_trainable=True)
    model.load_adapter(adapter["rslora"], "c")
    record.status("loaded")
    tuner.set_adapter(["b", "a"])
    record.status("both")
    record.run("both")
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.set_scale("a", 0.5) if "a" in module.scaling else None
    record.run("scaled")
    model.merge_adapter()
    record.status("merged")
    record.run("merged")
    model.unmerge_adapter()
    with model.disable_adapter():
        record.status("disabled")
        record.run("disabled")
    record.run("mixed", ["b", "__base__", "c", "b"])
    model.add_adapter("d", LoraConfig(r=5, target_modules=["q_proj", "gate_proj"], layers_to_transform=[1]))
    tuner.set_requires_grad("c", True)
    record.status("added")
    model.set_adapter("b")
    model.delete_adapter("b")
    record.status("deleted")
    record.run("deleted")
    hotswap_adapter(model, adapter["qv"], "a", torch_device="cpu")
    record.run("hotswapped")

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "expected.json", {"ids": list(IDS), "steps": record.steps})
    numpy.stack(record.logits).astype("<f4").tofile(out / "logits.f32")


main()
