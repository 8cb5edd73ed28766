"""Llama-shaped model folders with random bf16 weights, as large as asked for: speed does not depend on what the weights
say. The standard library is enough: the bits of small numbers are made directly."""

import json
import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

from peer import ROOT

# Sign and seven bits of the exponent of numbers between 2^-7 and 2^-5; the other byte is random.
SMALL = bytes(0x3C | (byte & 0x80) for byte in range(256))
CHUNK = 1 << 19


@dataclass
class Shape:
    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int = 64
    vocabulary: int = 49152
    tied: bool = True  # the head is the embedding

    def tensors(self):
        """(name, rows, columns); norms have one row."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        yield "model.embed_tokens.weight", self.vocabulary, self.hidden
        for i in range(self.layers):
            block = f"model.layers.{i}"
            for norm in ("input_layernorm", "post_attention_layernorm"):
                yield f"{block}.{norm}.weight", 1, self.hidden
            yield f"{block}.self_attn.q_proj.weight", queries, self.hidden
            yield f"{block}.self_attn.k_proj.weight", keys, self.hidden
            yield f"{block}.self_attn.v_proj.weight", keys, self.hidden
            yield f"{block}.self_attn.o_proj.weight", self.hidden, queries
            yield f"{block}.mlp.gate_proj.weight", self.intermediate, self.hidden
            yield f"{block}.mlp.up_proj.weight", self.intermediate, self.hidden
            yield f"{block}.mlp.down_proj.weight", self.hidden, self.intermediate
        yield "model.norm.weight", 1, self.hidden
        if not self.tied:
            yield "lm_head.weight", self.vocabulary, self.hidden

    def parameters(self):
        return sum(rows * columns for _, rows, columns in self.tensors())

    def config(self):
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_size,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": self.tied,
            "torch_dtype": "bfloat16",
            "bos_token_id": 1,
            "eos_token_id": 2,
        }


# SmolLM2's two small shapes, one below them, and that of Llama 3.2 1B with the small vocabulary.
SHAPES = [
    Shape("39M", 384, 1024, 12, 6, 2),
    Shape("135M", 576, 1536, 30, 9, 3),
    Shape("362M", 960, 2560, 32, 15, 5),
    Shape("1.1B", 2048, 8192, 16, 32, 8),
]
# As large as fits this size of machine, and shapes that do not need to fit: their files are holes.
LARGE = Shape("3.2B", 3072, 8192, 28, 24, 8, head_size=128, vocabulary=128256)
HOLLOW = [
    Shape("Qwen2.5-7B", 3584, 18944, 28, 28, 4, 128, 152064, tied=False),
    Shape("Llama-3-8B", 4096, 14336, 32, 32, 8, 128, 128256, tied=False),
    Shape("Llama-3-70B", 8192, 28672, 80, 64, 8, 128, 128256, tied=False),
]


def random_numbers(count):
    numbers = bytearray(2 * count)
    numbers[0::2] = os.urandom(count)
    numbers[1::2] = os.urandom(count).translate(SMALL)
    return numbers


def write_tensors(path, shape, hollow):
    header, offset = {}, 0
    for name, rows, columns in shape.tensors():
        size = 2 * rows * columns
        dimensions = [columns] if rows == 1 else [rows, columns]
        header[name] = {"dtype": "BF16", "shape": dimensions, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = random_numbers(CHUNK)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        if hollow:
            out.truncate(8 + len(text) + offset)
            return
        for start in range(0, offset, len(block)):
            out.write(block[: offset - start])


def make_model(folder, shape, hollow=False):
    """A folder of that shape, with the tokenizer of the tiny example model; a hollow one has no numbers in it."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(ROOT / "examples" / "tiny-llama" / name, folder)
    (folder / "config.json").write_text(json.dumps(shape.config(), indent=1) + "\n")
    write_tensors(folder / "model.safetensors", shape, hollow)
    return folder
