#!/usr/bin/env python3
"""The rate of oneDNN's bf16 product as PyTorch calls it, at SmolLM2's shapes for 1024 tokens: prints {"gflops"}.

    onednn_gemm.py THREADS
"""

import json
import sys
import time

import torch

TOKENS, HIDDEN, INTERMEDIATE, REPEATS = 1024, 576, 1536, 40


def main():
    torch.set_num_threads(int(sys.argv[1]))
    x = torch.randn(TOKENS, HIDDEN).bfloat16()
    up, down = (torch.randn(shape).bfloat16() for shape in [(INTERMEDIATE, HIDDEN), (HIDDEN, INTERMEDIATE)])
    product = torch.nn.functional.linear
    for i in range(REPEATS + 5):
        if i == 5:
            begin = time.perf_counter()
        product(product(x, up), down)
    seconds = time.perf_counter() - begin
    print(json.dumps({"gflops": 4 * TOKENS * HIDDEN * INTERMEDIATE * REPEATS / seconds / 1e9}))


if __name__ == "__main__":
    main()
