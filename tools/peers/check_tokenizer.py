#!/usr/bin/env python3
"""Random texts through many tokenizers: ids, offsets, types and decoded text, lorac against Hugging Face's tokenizers.

    check_tokenizer.py [--strings N] [--markdown FILE] [FOLDER...]

A folder holds tokenizer.json, or files from before it. Without folders: those of tests/golden/tokenizers. --markdown writes the table to a
file. GGUF vocabularies are compared with llama.cpp in check_gguf_tokenizer.py.
"""

import argparse
import json
import multiprocessing
import random
import sys
import time
from functools import partial
from pathlib import Path

import numpy
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from peer import ROOT
from text_rows import Text, byte_begins, library

PAIRS = 500  # strings that go as pairs, too
SPEED_BYTES = 1 << 20


def characters(*ranges):
    return [chr(c) for first, last in ranges for c in range(first, last + 1)]


POOLS = [
    characters((32, 126)),
    [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", *"\u00a0\u1680\u2002\u2009\u200a\u202f\u205f\u3000\u180e\u2028\u2029\x85\x0b\x0c\u200b\ufeff\u2060"],
    characters((0, 31), (127, 159)) + ["\u00ad", "\u200e", "\u202e", "\ufffd", "\uffff", "\ue000", "\U000f0000", "\U0010fffd", "\U000e0041"],
    ["'s", "'S", "'ll", "'Ll", "'re", "'VE", "\u2019s", "'t", "don't", " it's", "'", "n't", " 're", "\u017f"],
    ["½", "Ⅷ", "१", "𝟘", "123", "4567", "²", "๓", "1,000", "1000000", "3.14", "①", "\U00011de0", "\U00016ff4", "４５"],
    characters((0x300, 0x32f), (0x1ab0, 0x1ac0), (0x20d0, 0x20f0), (0x591, 0x5a0), (0x93e, 0x94d)) + ["é", "ﬁ", "Å", "ǆ", "İ", "ẞ", "Σ", "ς", "ợ"],
    ["가", "각", "ᄀ", "ᅡ", "ᆨ", "안녕", "ㄱ", *characters((0x4E00, 0x4E40)), "龥", "㐀", "豈", "𠀀", "𪜀", "𫝀", "𫠠", "𫤠", "丽"],
    ["こんにちは", "カタカナ", "ー", "ｶﾞ", "々", "〇", "、", "。", "「", "」"],
    ["שלום", "مرحبا", "नमस्ते", "สวัสดี", "Привет", "γειά", "ΣΑΣ", "ქართული", "Բարեւ", "አማርኛ", "தமிழ்", "မြန်မာ", "ភាសា", "ᠮᠣᠩᠭᠣᠯ", "Ω", "K", "ᾳ"],
    ["😀", "👩‍👩‍👧", "🇩🇪", "🏽", "\ufe0f", "👍🏽", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "☃", "™", "🫨", "\u200d", "🇦"],
    ["the ", "hello", "world", " and", "ing", "Token", " foo", "HELLO", "word", "words", " kettle is on", "The", "éte", "naïve café", "eeee", "ooo"],
    [*"_.,!-+()<>/=#$%&*@[]^`{|}~:;?\"\\", "…", "“", "”", "—", "¿", "§", "·", "\u0387", "\u061d", "\u2e52", "\u1b4e", "\U0001e95e", "``", "''", "..."],
    [chr(c) for c in (0x897, 0x1C89, 0xA7CB, 0xA7DC, 0x105C0, 0x10D50, 0x10D70, 0x11380, 0x113B8, 0x11F02, 0x11F50, 0x13440, 0x16D40, 0x1CC00, 0x1CCF0, 0x1E4D0,
                      0x1E5F1, 0x1FAE8, 0x1FADF, 0x2EBF0, 0x31350, 0x16EA0, 0x11DE3, 0x1E6C0, 0x323B0, 0x10EC5)],
    ["<0x41>", "<unk>", "\u2581", "\u2581\u2581", "\u2581a", "Ġ", "##", "##a", "</w>", "[UNK]", "<s>"],
]


def any_character(generator):
    code = generator.randrange(0x110000)
    return "A" if 0xD800 <= code < 0xE000 else chr(code)


def random_text(generator, pools):
    parts = []
    for _ in range(generator.randint(0, 30)):
        common = generator.random() > 0.05
        parts.append(generator.choice(generator.choice(pools)) if common else any_character(generator))
    return "".join(parts)


def random_texts(peer, count):
    generator = random.Random(20)
    added = [token.content for token in peer.get_added_tokens_decoder().values()]
    pools = POOLS + [added] if added else POOLS
    return [random_text(generator, pools) for _ in range(count)]


# ---- What differs


def peer_offsets(encoding, begins):
    return begins[numpy.array(encoding.offsets, dtype=int).reshape(-1, 2)]


def differs(ours, encoding, begins):
    if not numpy.array_equal(ours[0], encoding.ids):
        return f"ids {ours[0].tolist()} and not {encoding.ids}"
    expected = peer_offsets(encoding, begins)
    if not (numpy.array_equal(ours[1], expected[:, 0]) and numpy.array_equal(ours[2], expected[:, 1])):
        return f"offsets {list(zip(ours[1].tolist(), ours[2].tolist()))} and not {expected.tolist()}"
    if not numpy.array_equal(ours[3], encoding.type_ids) or not numpy.array_equal(ours[4], encoding.special_tokens_mask):
        return f"types {ours[3].tolist()} and not {encoding.type_ids}, special {ours[4].tolist()} and not {encoding.special_tokens_mask}"
    return None


def compare_singles(ours, peer, texts):
    full, bare = peer.encode_batch(texts), peer.encode_batch(texts, add_special_tokens=False)
    ids = [encoding.ids for encoding in full]
    # one by one, since transformers gives some tokenizers a decode, and no decode_batch, of their own
    decoded = [[peer.decode(row, skip_special_tokens=skip) for row in ids] for skip in (False, True)]
    for i, text in enumerate(texts):
        encoded = text.encode()
        columns = ours.encode(encoded)
        problem = differs(columns, full[i], byte_begins(text))
        if not problem and ours.encode(encoded, special=False)[0].tolist() != bare[i].ids:
            problem = f"without special tokens {ours.encode(encoded, special=False)[0].tolist()} and not {bare[i].ids}"
        for skip in (False, True):
            if not problem and ours.decode(ids[i], skip) != decoded[skip][i].encode():
                problem = f"decoded, skip {skip}: {ascii(ours.decode(ids[i], skip).decode())} and not {ascii(decoded[skip][i])}"
        if problem:
            yield f"{ascii(text)}: {problem}"


def compare_pairs(ours, peer, texts):
    for first, second in zip(texts[:PAIRS], texts[PAIRS:]):
        columns, encoding = ours.encode(first.encode(), pair=second.encode()), peer.encode(first, second)
        if columns[0].tolist() != encoding.ids or columns[3].tolist() != encoding.type_ids:
            yield f"{ascii(first)}, {ascii(second)}: {columns[0].tolist()} of {columns[3].tolist()}, not {encoding.ids} of {encoding.type_ids}"


def speeds(ours, peer, texts):
    """MB/s of both, on texts of some thousand characters."""
    joined, size = [], 0
    for at in range(0, len(texts), 50):
        joined.append("\n".join(texts[at:at + 50]))
        size += len(joined[-1].encode())
        if size > SPEED_BYTES:
            break
    encoded = [text.encode() for text in joined]
    ours.seconds = 0
    for text in encoded:
        ours.encode(text)
    start = time.perf_counter()
    for text in joined:
        peer.encode(text)
    return size / ours.seconds / 1e6, size / (time.perf_counter() - start) / 1e6


# ---- The tokenizers


def parts_of(component):
    """The names of a component and what it is made of."""
    inner = (component or {}).get("normalizers") or (component or {}).get("pretokenizers")
    if inner:
        return [name for part in inner for name in parts_of(part)]
    return [component["type"]] if component else []


def kind_of(saved):
    parts = parts_of(saved["normalizer"]) + parts_of(saved["pre_tokenizer"])
    return ": ".join([saved["model"]["type"], ", ".join(dict.fromkeys(parts))]).rstrip(": ")


def from_folder(folder):
    path = Path(folder) / "tokenizer.json"
    peer = Tokenizer.from_file(str(path)) if path.exists() else AutoTokenizer.from_pretrained(folder).backend_tokenizer
    peer.no_truncation()
    peer.no_padding()
    return peer


def compare(count, folder):
    """A row of the table, and what differs."""
    peer = from_folder(folder)
    texts, ours = random_texts(peer, count), Text(folder)
    problems = list(compare_singles(ours, peer, texts)) + list(compare_pairs(ours, peer, texts))
    kind = kind_of(json.loads(peer.to_str()))
    return (Path(folder).stem, kind, count, len(problems), *speeds(ours, peer, texts)), problems


def write_markdown(path, rows):
    lines = ["# Tokenizers compared", "",
             "Made by `tools/test_peers.sh tokenizer --markdown docs/tokenizer-table.md`: random strings through each tokenizer of",
             "tests/golden/tokenizers, ids, offsets, types and decoded text against Hugging Face's tokenizers; MB/s on one thread of a busy machine.", "",
             "| tokenizer | model: normalisers and pre-tokenizers | strings | mismatches | MB/s lorac | MB/s tokenizers |",
             "|---|---|--:|--:|--:|--:|"]
    lines += [f"| {name} | {kind} | {count} | {wrong} | {fast:.1f} | {slow:.1f} |" for name, kind, count, wrong, fast, slow in rows]
    Path(path).write_text("\n".join(lines) + "\n")


def golden_folders():
    return sorted(path.parent for path in (ROOT / "tests" / "golden" / "tokenizers").glob("*/expected.json"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--strings", type=int, default=10000)
    parser.add_argument("--markdown")
    parser.add_argument("folders", nargs="*")
    arguments = parser.parse_args()
    library()
    rows = []
    with multiprocessing.Pool() as pool:
        for row, problems in pool.imap(partial(compare, arguments.strings), arguments.folders or golden_folders()):
            name, kind, count, wrong, fast, slow = row
            print(f"{'FAIL' if wrong else 'ok  '} {name:18} {count} strings, {wrong} differ, {fast:6.1f} MB/s beside {slow:5.1f}, {kind}", flush=True)
            for problem in problems[:3]:
                print(f"     {problem}")
            rows.append(row)
    if arguments.markdown:
        write_markdown(arguments.markdown, rows)
    sys.exit(any(row[3] for row in rows))


if __name__ == "__main__":
    main()
