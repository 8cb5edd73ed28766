#!/usr/bin/env python3
"""Every character of Unicode through every normaliser and pre-tokenizer: lorac against Hugging Face's tokenizers.

    check_characters.py [NAME...]

Each character c stands as "acb c". The vocabulary holds a letter for each byte, and the same with "##", so that the ids show the
normalised text and where its words begin. Offsets are compared for the characters in use; the rest is unassigned or private.
"""

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from text_rows import Text, byte_begins, library

CHUNK = 256


def byte_letters():
    """The letter of each byte, as openai/gpt-2's encoder.py has it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def bert(**switches):
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return normalizers.BertNormalizer(**{**off, **switches})


NORMALISERS = {
    "NFC": normalizers.NFC(), "NFD": normalizers.NFD(), "NFKC": normalizers.NFKC(), "NFKD": normalizers.NFKD(),
    "Lowercase": normalizers.Lowercase(), "StripAccents": normalizers.StripAccents(), "Strip": normalizers.Strip(),
    "Bert clean_text": bert(clean_text=True), "Bert handle_chinese_chars": bert(handle_chinese_chars=True),
    "Bert strip_accents": bert(strip_accents=True), "Bert": normalizers.BertNormalizer(), "ByteLevel normalizer": normalizers.ByteLevel(),
    "Replace": normalizers.Replace(Regex(r"\s+"), "_"),
}
PRE_TOKENIZERS = {
    "BertPreTokenizer": pre_tokenizers.BertPreTokenizer(), "Whitespace": pre_tokenizers.Whitespace(),
    "WhitespaceSplit": pre_tokenizers.WhitespaceSplit(), "Punctuation": pre_tokenizers.Punctuation(),
    "Punctuation contiguous": pre_tokenizers.Punctuation("contiguous"), "Digits": pre_tokenizers.Digits(individual_digits=True),
    "UnicodeScripts": pre_tokenizers.UnicodeScripts(), "FixedLength": pre_tokenizers.FixedLength(3),
    "CharDelimiterSplit": pre_tokenizers.CharDelimiterSplit("b"), "Metaspace": pre_tokenizers.Metaspace(),
    "ByteLevel": pre_tokenizers.ByteLevel(add_prefix_space=True),
    "Split letters": pre_tokenizers.Split(Regex(r"\p{L}+|\p{N}|\p{M}"), "isolated"),
    "Split classes": pre_tokenizers.Split(Regex(r"\p{Lu}|[\p{P}\p{S}]|\s"), "merged_with_previous"),
}


def tokenizer(normalizer, splitter):
    vocabulary = {prefix + letter: i for i, (prefix, letter) in
                  enumerate((prefix, letter) for prefix in ("", "##") for letter in byte_letters().values())}
    made = Tokenizer(models.BPE(vocabulary, [], continuing_subword_prefix="##"))
    if normalizer:
        made.normalizer = normalizer
    # The letters of a normaliser's text are letters already
    last = [] if isinstance(normalizer, normalizers.ByteLevel) or isinstance(splitter, pre_tokenizers.ByteLevel) else \
        [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    if last or splitter:
        made.pre_tokenizer = pre_tokenizers.Sequence(([splitter] if splitter else []) + last)
    return made


BYTE_OF_ID = numpy.array([byte for _ in range(2) for byte in byte_letters()], dtype=numpy.uint8)
LETTER_TO_BYTE = {letter: byte for byte, letter in byte_letters().items()}


def expected_words(normalizer, splitter, text):
    """The words' bytes, in the end."""
    if normalizer:
        text = normalizer.normalize_str(text)
        if isinstance(normalizer, normalizers.ByteLevel):
            return [bytes(LETTER_TO_BYTE[letter] for letter in text)]
        return [text.encode()] if text else []
    words = [word for word, _ in splitter.pre_tokenize_str(text)]
    if isinstance(splitter, pre_tokenizers.ByteLevel):
        return [bytes(LETTER_TO_BYTE[letter] for letter in word) for word in words]
    return [word.encode() for word in words]


def same_words(ids, words):
    begins = numpy.zeros(len(ids), dtype=bool)
    lengths = [len(word) for word in words]
    if sum(lengths) != len(ids):
        return False
    begins[numpy.concatenate([[0], numpy.cumsum(lengths[:-1])]).astype(int) if lengths else []] = True
    return BYTE_OF_ID[ids].tobytes() == b"".join(words) and numpy.array_equal(ids < 256, begins)


def same_encoding(columns, peer, text):
    offsets = byte_begins(text)[numpy.array(peer.offsets, dtype=int).reshape(-1, 2)]
    return all(numpy.array_equal(a, b) for a, b in zip(columns, (peer.ids, offsets[:, 0], offsets[:, 1])))


def text_of(characters):
    """Planes 4 to 13 are unassigned: there the characters stand one behind the other."""
    if 0x40000 <= ord(characters[0]) < 0xE0000 and len(characters) > 1:
        return f"a{''.join(characters)}b"
    return "".join(f"a{c}b {c}" for c in characters)


CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CHUNKS = [CHARACTERS[i:i + CHUNK] for i in range(0, len(CHARACTERS), CHUNK)]
TEXTS = [text_of(chunk) for chunk in CHUNKS]
ENCODED = [text.encode() for text in TEXTS]
USED = [i for i, chunk in enumerate(CHUNKS) if ord(chunk[0]) < 0x32000 or 0xE0000 <= ord(chunk[0]) < 0xE0200]


def compare(name, normalizer, splitter):
    """A line on what differs, and whether anything does."""
    start = time.time()
    peer = tokenizer(normalizer, splitter)
    rewrites = normalizer or isinstance(splitter, (pre_tokenizers.Metaspace, pre_tokenizers.ByteLevel))
    with_offsets = USED if rewrites else []
    with tempfile.TemporaryDirectory() as folder:
        peer.save(str(Path(folder) / "tokenizer.json"))
        text = Text(folder)
        rows = [text.encode(one) for one in ENCODED]
        wrong = [i for i, one in enumerate(TEXTS) if not same_words(rows[i][0], expected_words(normalizer, splitter, one))]
        encodings = peer.encode_batch([TEXTS[i] for i in with_offsets])
        wrong += [i for i, encoding in zip(with_offsets, encodings) if not same_encoding(rows[i], encoding, TEXTS[i])]
        bad = find_bad(text, peer, [c for i in sorted(set(wrong)) for c in CHUNKS[i]])
    offsets = f"offsets of {sum(len(CHUNKS[i]) for i in with_offsets)}" if rewrites else "only cuts"
    lines = [f"{'FAIL' if wrong else 'ok  '} {name:26} {len(CHARACTERS)} characters, {offsets}: {len(bad) or len(wrong)} differ, "
             f"{time.time() - start:.1f} s"]
    return lines + [f"     U+{ord(c):04X}: {got} and not {expected}" for c, got, expected in bad[:5]], bool(wrong)


def find_bad(text, peer, characters):
    bad = []
    for c in characters:
        columns, encoding = text.encode(text_of(c).encode()), peer.encode(text_of(c))
        if not same_encoding(columns, encoding, text_of(c)):
            show = " ".join(f"{'+' * int(i < 256)}{BYTE_OF_ID[i]:02x}@{b}-{e}" for i, b, e, *_ in zip(*columns))
            bad.append((c, show, list(zip(encoding.tokens, encoding.offsets))))
    return bad


def compare_named(name):
    return compare(name, NORMALISERS.get(name), PRE_TOKENIZERS.get(name))


def main():
    library()
    failed = False
    with multiprocessing.Pool() as pool:
        for lines, wrong in pool.imap(compare_named, sys.argv[1:] or [*NORMALISERS, *PRE_TOKENIZERS]):
            print("\n".join(lines), flush=True)
            failed = failed or wrong
    sys.exit(failed)


if __name__ == "__main__":
    main()
