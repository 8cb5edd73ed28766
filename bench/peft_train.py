#!/usr/bin/env python3
"""PEFT's side of the training lines. Prints {"event": "plan"} when the first step begins and {"event": "train"} when
one is done, as lorac train --log json does, so that the same clock outside reads both.

    peft_train.py MODEL_FOLDER ROWS.jsonl --dtype bf16|f32 --batch-size B --steps N --rank R --target-modules T [--dora]

Rows are input_ids and labels, or prompt and completion, which the tokenizer of --tokenizer FOLDER reads.
"""

import argparse
import json

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from make_goldens import batch_of


def options_given():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("rows")
    parser.add_argument("--tokenizer")
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--target-modules", default="all-linear")
    parser.add_argument("--dora", action="store_true")
    for name, value in {"batch-size": 8, "steps": 4, "rank": 16, "threads": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def ids_and_labels(row, tokenizer):
    if "input_ids" in row:
        return row
    texts = [row["prompt"], row["completion"]]
    prompt, completion = tokenizer(texts, add_special_tokens=False)["input_ids"]
    completion.append(tokenizer.eos_token_id)
    return {"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion}


def tell(event):
    print(json.dumps({"event": event}), flush=True)


def main():
    options = options_given()
    torch.set_num_threads(options.threads)
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer) if options.tokenizer else None
    rows = [ids_and_labels(json.loads(line), tokenizer) for line in open(options.rows)]
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[options.dtype]
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype)
    targets = options.target_modules if options.target_modules == "all-linear" else options.target_modules.split(",")
    settings = dict(r=options.rank, lora_alpha=2 * options.rank, target_modules=targets, use_dora=options.dora)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings)).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)
    tell("plan")
    for step in range(options.steps):
        chosen = [rows[(step * options.batch_size + i) % len(rows)] for i in range(options.batch_size)]
        model(**batch_of(chosen)).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        tell("train")


if __name__ == "__main__":
    main()
