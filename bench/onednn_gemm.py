#!/usr/bin/env python3
"""The rate of oneDNN's products as PyTorch calls them, at SmolLM2's shapes for 1024 tokens: prints {"gflops"}, the best
of several tries, as lorac bench --profile measures its own.

    onednn_gemm.py THREADS bf16|f32
"""

import json
import sys
import time

import torch

TOKENS, HIDDEN, INTERMEDIATE, TRIES, REPEATS = 1024, 576, 1536, 12, 10


def main():
    torch.set_num_threads(int(sys.argv[1]))
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[sys.argv[2]]
    x = torch.randn(TOKENS, HIDDEN).to(dtype)
    up, down = (torch.randn(shape).to(dtype) for shape in [(INTERMEDIATE, HIDDEN), (HIDDEN, INTERMEDIATE)])
    product, seconds = torch.nn.functional.linear, []
    with torch.no_grad():
        for _ in range(TRIES):
            begin = time.perf_counter()
            for _ in range(REPEATS):
                product(product(x, up), down)
            seconds.append(time.perf_counter() - begin)
    print(json.dumps({"gflops": 4 * TOKENS * HIDDEN * INTERMEDIATE * REPEATS / min(seconds) / 1e9}))


if __name__ == "__main__":
    main()
