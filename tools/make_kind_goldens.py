#!/usr/bin/env python3
"""Writes tests/golden/kinds: one small adapter of every kind on the models of tests/golden/models, with PEFT's logits,
counts and the losses of twenty steps of training.

    python3 tools/make_kind_goldens.py [FOLDER]

It needs what make_goldens.py needs, and its models.
"""

import json
import shutil
import sys
from pathlib import Path

import transformers

from kinds import OPTIMIZERS, open_base, random_adapter, settings_of, train
from make_goldens import IDS, logits_of, make_rows, save_adapter, write_json

STEPS, BATCH = 20, 2

# base, kind, targets, options, optimiser
CASES = {
    "dora": ("llama", "dora", "all-linear", "", "AdamW"),
    "dora-conv1d": ("gpt2", "dora", "default", "", "AdamW"),
    "dora-embedding": ("llama-tied-bias", "dora", "embed_tokens, q_proj", "", "AdamW"),
    "embedding-head": ("llama", "lora", "lm_head, embed_tokens", "", "AdamW"),
    "wte": ("gpt2", "lora", "wte, c_attn", "", "AdamW"),
    "tied-embedding": ("llama-tied-bias", "lora", "embed_tokens", "weights tied", "AdamW"),
    "lora-bias": ("llama-tied-bias", "lora_bias", "default", "", "AdamW"),
    "bias-all": ("gpt2", "lora", "default", "bias all", "AdamW"),
    "bias-lora-only": ("llama-tied-bias", "rslora", "default", "bias lora_only", "AdamW"),
    "save-head": ("llama-tied-bias", "lora", "default", "save lm_head", "AdamW"),
    "save-all": ("llama", "lora", "default", "save both, norm", "AdamW"),
    "tokens": ("llama-tied-bias", "lora", "default", "tokens", "AdamW"),
    "tokens-apart": ("llama", "lora", "default", "different tokens", "AdamW"),
    "loraplus": ("llama", "lora", "embed_tokens, q_proj", "", "LoRA+"),
    "lora-fa": ("gpt2", "lora", "all-linear", "", "LoRA-FA"),
    "rslora": ("llama", "rslora", "patterns", "", "AdamW"),
}


def make_kind(folder, models, rows, seed, case):
    base, kind, targets, option, optimizer = case
    settings = settings_of(kind, targets, option) | dict(r=2)
    if option == "different tokens":  # the models have 70 tokens
        settings["trainable_token_indices"] = {"embed_tokens": [5, 17, 61], "lm_head": [3, 17, 69]}
    model = random_adapter(open_base(models / base), seed, **settings)
    save_adapter(model, folder, base)
    trainable, every = model.get_nb_trainable_parameters()
    expected = dict(ids=IDS, trainable_parameters=trainable, all_parameters=every)
    (folder / "logits.f32").write_bytes(logits_of(model).numpy().tobytes())
    _, rate, options = OPTIMIZERS[optimizer]
    expected |= dict(options={"learning-rate": rate, "weight-decay": 0.01, "batch-size": BATCH} | options)
    expected |= dict(loss=train(model, settings, rows, STEPS, BATCH, optimizer))
    write_json(folder / "expected.json", expected)
    print(f"{folder.name}: loss {expected['loss'][0]:.4f} -> {expected['loss'][-1]:.4f}")


def main():
    transformers.utils.logging.disable_progress_bar()
    golden = Path(__file__).parent.parent / "tests" / "golden"
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else golden / "kinds"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    rows = make_rows(STEPS, 6)
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for number, (name, case) in enumerate(CASES.items()):
        make_kind(root / name, golden / "models", rows, 60 + number, case)
    for file in root.rglob("*.safetensors"):
        file.chmod(0o644)
    print(f"{sum(f.stat().st_size for f in root.rglob('*') if f.is_file())} bytes in {root}")


if __name__ == "__main__":
    main()
