#!/usr/bin/env python3
"""Normalisers, pre-tokenizers and added tokens in combinations that nobody has made: ids, offsets, types, lorac against tokenizers.

    check_compositions.py [SEED [COUNT]]

The vocabulary holds a letter for each byte and the same with "##", so that the ids show the text and where its words begin. No added
token here is empty once it is normalised: the library then cuts the text at every character, and lorac does not look for it.
"""

import json
import multiprocessing
import random
import sys
import tempfile
from functools import partial
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from check_tokenizer import POOLS, differs, random_text
from text_rows import Text, byte_begins, library

ADDED = ["word", "<x>", "two words", "ÉTÉ", " ab"]
TEXTS = 60


def coin(generator):
    return generator.random() < 0.5


def a_normaliser(g):
    return g.choice([
        normalizers.NFC, normalizers.NFD, normalizers.NFKC, normalizers.NFKD, normalizers.Lowercase, normalizers.StripAccents,
        lambda: normalizers.Strip(coin(g), coin(g)),
        lambda: normalizers.BertNormalizer(coin(g), coin(g), g.choice([None, True, False]), coin(g)),
        lambda: normalizers.Prepend(g.choice(["\u2581", "_", " "])),
        lambda: normalizers.Replace(g.choice([" ", "a", "the", "\u0301"]), g.choice(["\u2581", "", "xy", "A\u0301"])),
        lambda: normalizers.Replace(Regex(g.choice([r"\s+", r"\p{M}", r"[aeiou]+", r"^\s+|\s+$"])), g.choice([" ", "", "--"])),
    ])()


def a_splitter(g):
    behavior = g.choice(["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"])
    expression = g.choice([r"\p{L}+", r"\s", r"\d{1,3}", r"[^\p{L}\s]+", r"(?=\p{Lu})"])
    return g.choice([
        pre_tokenizers.BertPreTokenizer, pre_tokenizers.Whitespace, pre_tokenizers.WhitespaceSplit, pre_tokenizers.UnicodeScripts,
        lambda: pre_tokenizers.Punctuation(behavior), lambda: pre_tokenizers.Digits(coin(g)),
        lambda: pre_tokenizers.FixedLength(g.randint(1, 7)), lambda: pre_tokenizers.CharDelimiterSplit(g.choice(" aé.")),
        lambda: pre_tokenizers.Metaspace(g.choice("\u2581_ "), g.choice(["first", "always", "never"]), coin(g)),
        lambda: pre_tokenizers.Split(g.choice([" ", "a", "\n"]), behavior, coin(g)),
        lambda: pre_tokenizers.Split(Regex(expression), behavior, coin(g)),
    ])()


def a_tokenizer(g):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*letters, *("##" + letter for letter in letters)])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], continuing_subword_prefix="##"))
    forms = [a_normaliser(g) for _ in range(g.randint(0, 3))]
    if forms:
        tokenizer.normalizer = normalizers.Sequence(forms)
    last = pre_tokenizers.ByteLevel(add_prefix_space=coin(g), use_regex=coin(g))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([a_splitter(g) for _ in range(g.randint(0, 3))] + [last])
    for text in ADDED:
        if coin(g):
            flags = {name: coin(g) for name in ("lstrip", "rstrip", "single_word", "normalized", "special")}
            tokenizer.add_tokens([AddedToken(text, **flags)])
    return tokenizer


def compare(seed, number):
    """How many texts were compared, and the first that differs."""
    g = random.Random(f"{seed} {number}")
    peer = a_tokenizer(g)
    pools = POOLS + [[*ADDED, "Été", "éTE", "Two Words"]]
    texts = [random_text(g, pools) for _ in range(TEXTS)]
    with tempfile.TemporaryDirectory() as folder:
        peer.save(str(Path(folder) / "tokenizer.json"))
        ours = Text(folder)
        for i, text in enumerate(texts):
            problem = differs(ours.encode(text.encode()), peer.encode(text), byte_begins(text))
            if problem:
                saved = json.loads(peer.to_str())
                parts = {key: saved[key] for key in ("normalizer", "pre_tokenizer", "added_tokens")}
                return i, f"{ascii(text)}: {problem}\n     {json.dumps(parts)}"
    return TEXTS, None


def main():
    library()
    seed, count = (int(argument) for argument in (sys.argv[1:] + ["6", "400"][len(sys.argv) - 1:]))
    texts, bad = 0, []
    with multiprocessing.Pool() as pool:
        for compared, problem in pool.imap(partial(compare, seed), range(count)):
            texts += compared
            bad += [problem] if problem else []
    print(f"{'FAIL' if bad else 'ok  '} {count} tokenizers, {texts} texts: {len(bad)} tokenizers differ")
    for problem in bad[:5]:
        print(f"     {problem}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
