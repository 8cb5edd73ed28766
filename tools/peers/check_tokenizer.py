#!/usr/bin/env python3
"""Ids of random texts: the program against Hugging Face's tokenizers.

    check_tokenizer.py [PROGRAM FOLDER...]

A folder holds tokenizer.json. Without arguments: the program under test and the folders of tests/golden/tokenizers, and the real model's
vocabulary, where it is there, against one put together here as llama.cpp reads it.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lorac"
COUNT = 2000

POOLS = [
    [chr(c) for c in range(32, 127)],
    [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u180e", "\u2028", "\x85", "\x0b", "\u200b"],
    ["'s", "'S", "'ll", "'Ll", "'re", "'VE", "\u2019s", "'t", "don't", " it's"],
    ["½", "Ⅷ", "१", "𝟘", "123", "4567", "²", "๓", "1,000"],
    [chr(c) for c in range(0x300, 0x330)] + ["é", "ﬁ", "Å", "ǆ", "İ", "ẞ", "Σ", "가", "각", "ᄀ", "ᅡ", "ᆨ"],
    [chr(c) for c in range(0x4E00, 0x4E40)],
    ["שלום", "مرحبا", "नमस्ते", "สวัสดี", "Привет", "γειά"],
    ["😀", "👩‍👩‍👧", "🇩🇪", "🏽", "\ufe0f"],
    ["the ", "hello", "world", " and", "ing", "Token", " foo"],
    ["_", ".", ",", "!", "-", "+", "(", ")", "<", ">", "/", "="],
]


def any_character(generator):
    code = generator.randrange(0x110000)
    return "A" if 0xD800 <= code < 0xE000 else chr(code)


def random_text(generator, pools):
    parts = []
    for _ in range(generator.randint(0, 40)):
        common = generator.random() > 0.05
        parts.append(generator.choice(generator.choice(pools)) if common else any_character(generator))
    return "".join(parts)


def ids_of(program, model, texts, special):
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        flag = "--add-special-tokens" if special else "--no-special-tokens"
        command = [program, "tokenize", "-m", str(model), "--jsonl", str(rows), flag]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"FAIL {' '.join(command)}\nexit code {done.returncode}\n{done.stderr}")
    return [json.loads(line)["ids"] for line in done.stdout.splitlines()]


def compare(program, model, peer):
    generator = random.Random(20)
    added = [token.content for token in peer.get_added_tokens_decoder().values()]
    texts = [random_text(generator, POOLS + [added] if added else POOLS) for _ in range(COUNT)]
    for special in (True, False):
        got = ids_of(program, model, texts, special)
        expected = [encoding.ids for encoding in peer.encode_batch(texts, add_special_tokens=special)]
        wrong = [i for i in range(COUNT) if i >= len(got) or got[i] != expected[i]]
        print(f"{'FAIL' if wrong else 'ok  '} {model}, special tokens {special}: {COUNT - len(wrong)} of {COUNT} texts alike", flush=True)
        if wrong:
            sys.exit(f"first: {ascii(texts[wrong[0]])}\n  got      {got[wrong[0]]}\n  expected {expected[wrong[0]]}")


def from_folder(folder):
    peer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    peer.no_truncation()
    peer.no_padding()
    return peer


def from_smollm(path):
    """llama.cpp's reading of the name "smollm": every number alone, then the words of GPT-2; control tokens are found in text."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    tokens, merges, types = (fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "merges", "token_type"))
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    peer = Tokenizer(BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=pairs))
    numbers = pre_tokenizers.Split(Regex(r"\p{N}"), "isolated")
    peer.pre_tokenizer = pre_tokenizers.Sequence([numbers, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    peer.decoder = decoders.ByteLevel()
    peer.add_special_tokens([AddedToken(token, normalized=False) for token, kind in zip(tokens, types) if kind == 3])
    return peer


def main():
    if len(sys.argv) > 2:
        for folder in sys.argv[2:]:
            compare(sys.argv[1], folder, from_folder(folder))
        return
    program = os.environ.get("LORAC", str(ROOT / "build" / "lorac"))
    for folder in sorted((ROOT / "tests" / "golden" / "tokenizers").glob("*/")):
        compare(program, folder, from_folder(folder))
    model = CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if model.exists():
        compare(program, model, from_smollm(model))
    else:
        print(f"not compared: {model} is not there")


if __name__ == "__main__":
    main()
