#!/usr/bin/env python3
"""PEFT's side of the merge line: prints the seconds that merge_and_unload and save_pretrained take, loading left out.

    peft_merge.py MODEL_FOLDER ADAPTER_FOLDER OUT
"""

import json
import sys
import time

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def main():
    model, adapter, out = sys.argv[1:]
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, adapter)
    begin = time.perf_counter()
    adapted.merge_and_unload().save_pretrained(out)
    print(json.dumps({"seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()
