"""What check_peft_0_10.py does in the environment of PEFT 0.10.

    peft_0_10_peer.py logits MODEL ADAPTER IDS OUT.npy
    peft_0_10_peer.py adapter MODEL SETTINGS.json OUT      a random adapter
"""

import json
import sys
from pathlib import Path

import numpy
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM


def base(model):
    return AutoModelForCausalLM.from_pretrained(model, torch_dtype=torch.float32).eval()


def write_logits(model, adapter, ids, out):
    adapted = PeftModel.from_pretrained(base(model), adapter).eval()
    with torch.no_grad():
        numpy.save(out, adapted(torch.tensor([[int(i) for i in ids.split(",")]])).logits[0].numpy())


def write_adapter(model, settings, out):
    settings = json.loads(Path(settings).read_text())
    safe = settings.pop("safe", True)
    torch.manual_seed(11)
    adapted = get_peft_model(base(model), LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_" in name:
                p.normal_(0.0, 0.1)
    adapted.save_pretrained(out, safe_serialization=safe)


if __name__ == "__main__":
    {"logits": write_logits, "adapter": write_adapter}[sys.argv[1]](*sys.argv[2:])
