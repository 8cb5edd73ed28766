"""What check_mlx.py does in mlx-lm's own environment.

    mlx_peer.py logits MODEL ADAPTER IDS OUT.npy
    mlx_peer.py adapter MODEL RANK SCALE KEYS OUT    a random adapter, as mlx-lm files it
"""

import json
import sys
from pathlib import Path

import mlx.core as mx
import numpy
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters
from mlx_lm.utils import load_model


def write_logits(model, adapter, ids, out):
    model = load_adapters(load_model(Path(model))[0], adapter)
    model.eval()
    ids = [int(i) for i in ids.split(",")]
    numpy.save(out, numpy.array(model(mx.array([ids])).astype(mx.float32))[0])


def write_adapter(model, rank, scale, keys, out):
    parameters = {"rank": int(rank), "scale": float(scale), "dropout": 0.0, "keys": keys.split(",")}
    model = load_model(Path(model))[0]
    model.freeze()
    linear_to_lora_layers(model, 1, parameters)
    mx.random.seed(7)
    weights = {name: mx.random.normal(t.shape) * 0.2 for name, t in tree_flatten(model.trainable_parameters())}
    out = Path(out)
    out.mkdir()
    mx.save_safetensors(str(out / "adapters.safetensors"), weights)
    config = {"fine_tune_type": "lora", "num_layers": 1, "lora_parameters": parameters, "model": "somebody/model"}
    (out / "adapter_config.json").write_text(json.dumps(config, indent=4))


if __name__ == "__main__":
    {"logits": write_logits, "adapter": write_adapter}[sys.argv[1]](*sys.argv[2:])
