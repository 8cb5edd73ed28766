#!/usr/bin/env python3
"""Tokenizing 10 MB of mixed text (code, English, invented words in twelve scripts) on one thread: lorac beside Hugging Face's
tokenizers, with vocabularies of 32,000 tokens trained on that text. Processor time, the better of three rounds in turns.

    bench/run.sh words.py [MEGABYTES]

The vocabularies are trained once (a minute) and kept in build/words.
"""

import ctypes
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from programs import HERE, PYTHON, machine

ROOT = HERE.parent
FOLDER = ROOT / "build" / "words"
SCRIPTS = [(0x61, 0x7A), (0xE0, 0xF6), (0x3B1, 0x3C9), (0x430, 0x44F), (0x5D0, 0x5EA), (0x627, 0x64A), (0x905, 0x939), (0xE01, 0xE2E),
           (0x10D0, 0x10F0), (0x3042, 0x3093), (0x4E00, 0x4FFF), (0xAC00, 0xAE00)]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def invented(rng, script, size):
    """Sentences of words whose frequencies fall as in a language."""
    low, high = script
    words = ["".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 9))) for _ in range(8000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    text = []
    while size > 0:
        sentence = " ".join(rng.choices(words, weights, k=rng.randint(4, 20))) + rng.choice([". ", ", ", "! ", "\n", f" {rng.randint(0, 5000)} "])
        size -= len(sentence.encode())
        text.append(sentence)
    return "".join(text)


def mixed_text(size):
    rng = random.Random(1)
    own = [path for folder in ("src", "cli", "include", "docs", "tools", "bench", "tests") for path in sorted((ROOT / folder).rglob("*"))
           if path.suffix in (".c", ".h", ".py", ".md", ".sh") and path.is_file()]
    parts = [path.read_text() for path in own]
    missing = size - sum(len(part.encode()) for part in parts)
    parts += [invented(rng, script, missing // len(SCRIPTS)) for script in SCRIPTS]
    pieces = [piece for part in parts for piece in part.split("\n\n")]
    rng.shuffle(pieces)
    return "\n\n".join(pieces).encode()[:size].decode(errors="ignore")


def makers():
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    def byte_level(splitter, **options):
        tokenizer = Tokenizer(models.BPE(**options))
        tokenizer.pre_tokenizer = splitter
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer, trainers.BpeTrainer(vocab_size=32000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)

    def gpt2():
        return byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))

    def llama3():
        split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
        return byte_level(pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), ignore_merges=True)

    def llama2():
        """Trained with words cut at blanks; it encodes whole texts."""
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        return tokenizer, trainers.BpeTrainer(vocab_size=32000, special_tokens=["<unk>"], show_progress=False)

    def unigram():
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        return tokenizer, trainers.UnigramTrainer(vocab_size=32000, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)

    def bert():
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        return tokenizer, trainers.WordPieceTrainer(vocab_size=32000, special_tokens=["[UNK]"], show_progress=False)

    return {"gpt2": gpt2, "llama3": llama3, "llama2": llama2, "unigram": unigram, "bert": bert}


def make(name, maker, text):
    path = FOLDER / name / "tokenizer.json"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer, trainer = maker()
    tokenizer.train_from_iterator(text[:4_000_000].split("\n\n"), trainer)
    if name == "llama2":
        import json
        saved = json.loads(tokenizer.to_str())
        saved["pre_tokenizer"] = None
        path.write_text(json.dumps(saved, ensure_ascii=False))
    else:
        tokenizer.save(str(path))
    return path


def encode(lorac, text):
    """lorac's ids and their number, uncopied."""
    ids, count = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_size_t()
    lorac.check(lorac.lorac.lorac_text_encode(lorac.handle, text, ctypes.c_size_t(len(text)), 0, ctypes.byref(ids), ctypes.byref(count)))
    return ids, count.value


def timed(run):
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def compare(name, path, text):
    from tokenizers import Tokenizer

    from text_rows import Text

    ours, theirs = Text(path.parent), Tokenizer.from_file(str(path))
    documents = text.split("\n\n")
    encoded = [document.encode() for document in documents]
    best = [float("inf"), float("inf")]
    for _ in range(3):
        seconds, mine = timed(lambda: [encode(ours, document) for document in encoded])
        best[0] = min(best[0], seconds)
        seconds, other = timed(lambda: [theirs.encode(document, add_special_tokens=False) for document in documents])
        best[1] = min(best[1], seconds)
        different = sum(ids[:count] != result.ids for (ids, count), result in zip(mine, other))
        for ids, _ in mine:
            ours.lorac.lorac_free(ids)
    speeds = [len(text.encode()) / 1e6 / seconds for seconds in best]
    print(f"{name:10} lorac {speeds[0]:6.2f} MB/s   tokenizers {speeds[1]:6.2f} MB/s   {speeds[0] / speeds[1]:5.2f} x   "
          f"{len(documents)} documents, {different} different", flush=True)


def main():
    if Path(sys.executable).resolve() != PYTHON.resolve() or sys.prefix == sys.base_prefix:
        sys.exit(subprocess.run([PYTHON, *sys.argv], check=False).returncode)
    text = mixed_text(int(float(sys.argv[1] if len(sys.argv) > 1 else 10) * 1e6))
    here = machine()
    print(f"{here['cpu']}, one thread, {len(text.encode()) / 1e6:.1f} MB")
    for name, maker in makers().items():
        compare(name, make(name, maker, text), text)


if __name__ == "__main__":
    main()
