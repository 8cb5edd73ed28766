#!/usr/bin/env python3
"""Writes tests/golden/quant/: blocks of every ggml format and the floats that the gguf package decodes them to.

Each FORMAT.blocks holds raw blocks, FORMAT.f32 their values (little-endian f32). Blocks are random bytes, so that
every bit of a layout matters, with scales that are finite.
Q8_0.input holds floats whose encoding is Q8_0.encoded; half.f16 and half.bf16 are the conversions of half.input.
Run with gguf 0.19 and numpy: tools/make_quant_goldens.py
"""
import pathlib

import gguf
import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "quant"
RANDOM_BLOCKS = 6

# Where the half-precision scales of a block stand, in bytes.
SCALES = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}


def random_blocks(random, kind, offsets):
    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = random.integers(0, 256, (RANDOM_BLOCKS, size), dtype=np.uint8)
    for offset in offsets:
        scales = random.normal(0, 0.1, RANDOM_BLOCKS).astype(np.float16)
        scales[0] = np.float16(6e-8)  # the smallest subnormal
        scales[1] = np.float16(0)
        blocks[:, offset:offset + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks


def special_floats(random):
    """Ordinary numbers, and every edge of the conversions to half precision and to bfloat16."""
    edges = [0.0, -0.0, 1.0, 65504.0, 65519.99, 65520.0, 1e6, 6.1035156e-05, 6.0975552e-05, 5.9604645e-08,
             2.9802322e-08, 2.9802326e-08, 1e-10, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, 3.3895314e38,
             np.inf, -np.inf, 1e-40]
    ordinary = random.normal(0, 1, 200) * 10.0 ** random.uniform(-9, 5, 200)
    return np.concatenate([np.array(edges), -np.array(edges), ordinary]).astype(np.float32)


def main():
    random = np.random.default_rng(20240101)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, offsets in SCALES.items():
        kind = gguf.GGMLQuantizationType[name]
        blocks = random_blocks(random, kind, offsets)
        values = gguf.quants.dequantize(blocks.reshape(-1), kind)
        assert np.isfinite(values).all()
        blocks.tofile(FOLDER / f"{name}.blocks")
        values.astype("<f4").tofile(FOLDER / f"{name}.f32")

    encoded = random.normal(0, 1, (6, 32)).astype(np.float32) * np.array([[1], [1e-3], [50], [0], [1e-6], [3]], np.float32)
    encoded[5, :] = np.float32(0.5) * np.arange(-16, 16)  # ties of the rounding
    encoded[5, 0] = -63.5
    encoded.tofile(FOLDER / "Q8_0.input")
    gguf.quants.quantize(encoded, gguf.GGMLQuantizationType.Q8_0).tofile(FOLDER / "Q8_0.encoded")

    floats = special_floats(random)
    floats.tofile(FOLDER / "half.input")
    with np.errstate(over="ignore"):
        floats.astype(np.float16).tofile(FOLDER / "half.f16")
    gguf.quants.quantize(floats, gguf.GGMLQuantizationType.BF16).tofile(FOLDER / "half.bf16")


if __name__ == "__main__":
    main()
