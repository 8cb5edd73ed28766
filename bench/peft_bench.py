#!/usr/bin/env python3
"""PEFT's side of the bench: trains on rows of ids and labels and prints {"tokens", "seconds"}, the first step left out.

    peft_bench.py MODEL_FOLDER ROWS.jsonl --dtype bf16|f32 --batch-size B --steps N --rank R
"""

import argparse
import json
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from make_goldens import batch_of


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("rows")
    parser.add_argument("--dtype", default="f32")
    for name, value in {"batch-size": 8, "steps": 4, "rank": 16, "threads": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [json.loads(line) for line in open(options.rows)]
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[options.dtype]
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype)
    settings = dict(r=options.rank, lora_alpha=2 * options.rank, target_modules="all-linear")
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings)).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)
    tokens, begin = 0, None
    for step in range(options.steps):
        chosen = [rows[(step * options.batch_size + i) % len(rows)] for i in range(options.batch_size)]
        model(**batch_of(chosen)).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if begin is None:
            begin = time.perf_counter()
        else:
            tokens += sum(len(row["input_ids"]) for row in chosen)
    print(json.dumps({"tokens": tokens, "seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()
