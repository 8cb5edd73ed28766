#!/usr/bin/env python3
"""Tokenizers from GGUF files against llama.cpp itself: ids, and the texts of the ids with special tokens and without.

    check_gguf_tokenizer.py [VOCABULARY.gguf...]

Every vocabulary that llama.cpp publishes, on its own test texts and random ones, the real model's, and every name of a pre-tokenizer that its
source knows, put into one of these files. Needs what tools/make_llama_cpp.sh builds; without it the check is skipped.
"""

import random
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from llama_cpp import PEER, VOCABULARIES, Library, peer_results, set_text
from peer import CACHE, SKIPPED

VOCABULARY_TEXTS, NAME_TEXTS = 10000, 2000
# Their vocabularies are of UTF-8; the others' of GPT-2's bytes.
RAW = {"gemma4": "gpt2", "granite-embed-multi-311m": "gpt2", "sarvam-moe": "gpt2", "whitespace": "whitespace"}
# These write "[UNK_BYTE_0x...]" for a character; here it stands for itself.
IDS_ALONE = {"whitespace"}

RANGES = [
    (0x20, 0x7F), (1, 0x80), (0x80, 0x250), (0x250, 0x800), (0x800, 0x3000), (0x3000, 0xA000), (0x1F300, 0x1FB00),
    (0xF900, 0x10000), (0x10000, 0x1F000), (0x20000, 0x32000), (1, 0xD800), (0xE000, 0x110000),
]  # fmt: skip
PARTS = """the cat's don't WE'LL I'd they've 1234567 3.14159 x=y+1; 你好 こんにちは naïve é สวั 한국어 ٣٤٥٦ Ⅻ½ HelloWorld fooBARbaz
12½345 1,000 ... !!! #### ---- 'S 'Re ſ Iphone's IMGIMGABCZ <sentinel:42> </s> <s> <|im_end|> <|endoftext|> <mask> [MASK] ▁ 、。 , . ? ! '
 's Привет नमस्ते שלום مرحبا 😀 👩‍👩‍👧 🇩🇪 ﬁ Å İ ẞ""".split() + [
    "\n", "\n\n\n", " ", "  ", "   ", "\t", "\r\n", "\u00a0", "\u2003", "\u3000", "\u180e", "\x85", "\x0b", "\x1c", "\u200b", "\0",
    "\u2028", " \n ", " ' ", " 's", " .", "e\u0301",
]  # fmt: skip


def random_text(generator):
    parts = []
    for _ in range(generator.randint(0, 12)):
        kind = generator.random()
        if kind < 0.55:
            parts.append(generator.choice(PARTS))
        elif kind < 0.9:
            low, high = generator.choice(RANGES)
            parts.append("".join(chr(generator.randrange(low, high)) for _ in range(generator.randint(1, 6))))
        else:
            parts.append(str(generator.randrange(10 ** generator.randint(1, 12))))
        if generator.random() < 0.5:
            parts.append(" " * generator.randint(1, 3))
    return "".join(parts)


def random_texts(count, seed):
    generator = random.Random(seed)
    return [random_text(generator) for _ in range(count)]


def own_texts(vocabulary):
    inputs = Path(f"{vocabulary}.inp")
    return inputs.read_text().split("\n__ggml_vocab_test__\n") if inputs.exists() else []


def differences(library, vocabulary, texts, special, ids_alone=False):
    """How many texts have other ids, how many the same ids and other texts, and the first of these."""
    with ThreadPoolExecutor() as pool:
        peer = pool.submit(peer_results, vocabulary, texts, special)
        got = library.results(vocabulary, texts, special)
        expected = peer.result()[1]
    wrong = [i for i in range(len(texts)) if got[i][0] != expected[i][0]]
    other = [i for i in range(len(texts)) if got[i][0] == expected[i][0] and got[i] != expected[i] and not ids_alone]
    example = None
    if wrong or other:
        i = min(wrong or other, key=lambda i: len(texts[i]))
        example = f"{ascii(texts[i])}\n  got      {got[i]}\n  expected {expected[i]}"
    return len(wrong), len(other), example


def report(name, count, found):
    wrong, other, example = found
    print(f"{name:28} {count:7} {wrong:10} {other:10}", flush=True)
    if example:
        print(example)
    return not example


def check_vocabularies(library, vocabularies):
    random_ones = random_texts(VOCABULARY_TEXTS, 1)
    good = True
    print(f"{'vocabulary':28} {'strings':>7} {'other ids':>10} {'other text':>10}")
    for vocabulary in vocabularies:
        texts = own_texts(vocabulary) + random_ones
        good &= report(vocabulary.name, len(texts), differences(library, vocabulary, texts, True))
    return good


def check_names(library):
    names = sorted(set(re.findall(r'tokenizer_pre == "([^"]+)"', (VOCABULARIES / "llama-vocab.cpp").read_text())))
    plain = (VOCABULARIES / "ggml-vocab-gpt-2.gguf").read_bytes()
    raw = (VOCABULARIES / "ggml-vocab-gemma-4.gguf").read_bytes()
    texts = random_texts(NAME_TEXTS, 2)
    good = True
    print(f"{'pre-tokenizer':28} {'strings':>7} {'other ids':>10} {'other text':>10}")
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder) / "renamed.gguf"
        for name in names:
            data = set_text(raw, "tokenizer.ggml.model", RAW[name]) if name in RAW else plain
            vocabulary.write_bytes(set_text(data, "tokenizer.ggml.pre", name))
            good &= report(name, len(texts), differences(library, vocabulary, texts, False, name in IDS_ALONE))
    print(f"{len(names)} names")
    return good


def main():
    if not PEER.exists():
        print(f"SKIPPED: {PEER} is not there; tools/make_llama_cpp.sh builds it")
        sys.exit(SKIPPED)
    library = Library()
    given = [Path(name) for name in sys.argv[1:]]
    models = [CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf"]
    published = sorted(VOCABULARIES.glob("ggml-vocab-*.gguf")) + [model for model in models if model.exists()]
    good = check_vocabularies(library, given or published)
    if not given:
        good &= check_names(library)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
