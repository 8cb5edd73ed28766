#!/usr/bin/env python3
"""Ids of random texts from SentencePiece models: the program against the sentencepiece library, against what transformers makes of such a
model in a folder, and against tokenizers with the library's whole sets of rules as their normaliser.

    check_sentencepiece.py
"""

import random
import sys
import tempfile
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer, normalizers
from transformers.convert_slow_tokenizer import import_protobuf

from check_tokenizer import PAIRS, POOLS, compare_pairs, compare_singles, random_text
from make_sentencepiece_goldens import FOLDERS, make_folder, train, with_unused
from peer import ROOT
from text_rows import Text

GOLDEN = ROOT / "tests" / "golden" / "sentencepiece"
COUNT = 10000

# Whole sets of rules are too large for goldens.
SETS = {
    "nmt_nfkc": {"normalization_rule_name": "nmt_nfkc"},
    "nfkc": {"normalization_rule_name": "nfkc", "model_type": "bpe", "remove_extra_whitespaces": False},
    "nmt_nfkc_cf": {"normalization_rule_name": "nmt_nfkc_cf", "user_defined_symbols": ["<sep>", "ﬁ", "don't"]},
    "nfkc_cf": {"normalization_rule_name": "nfkc_cf", "model_type": "bpe", "add_dummy_prefix": False, "user_defined_symbols": ["the ", "▁it"]},
    "char_unused": {"model_type": "char", "unused": 5},
    "word_unused": {"model_type": "word", "unused": 2, "vocab_size": 60},
    "identity": {"byte_fallback": True, "vocab_size": 450, "treat_whitespace_as_suffix": True, "character_coverage": 0.98},
}

def sample(names, seed=21):
    generator = random.Random(seed)
    return [random_text(generator, POOLS + [names]) for _ in range(COUNT)]


def ids_of(folder, texts, special):
    ours = Text(folder)
    return [ours.encode(text.encode(), special)[0].tolist() for text in texts]


def report(name, texts, got, expected):
    wrong = [i for i in range(len(texts)) if i >= len(got) or got[i] != expected[i]]
    print(f"{'FAIL' if wrong else 'ok  '} {name}: {len(texts) - len(wrong)} of {len(texts)} texts alike", flush=True)
    if wrong:
        sys.exit(f"first: {ascii(texts[wrong[0]])}\n  got      {got[wrong[0]]}\n  expected {expected[wrong[0]]}")


def against_library(folder, name):
    """The library does not find control symbols in texts."""
    processor = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    controls = [piece for i, piece in enumerate(pieces) if processor.is_control(i)]
    texts = [text for text in sample(pieces) if not any(control in text for control in controls)]
    ids = processor.encode(texts)
    report(f"sentencepiece {name}", texts, ids_of(folder, texts, False), ids)
    ours = Text(folder)
    report(f"sentencepiece {name}, decoded", texts, [ours.decode(row) for row in ids], [processor.decode(row).encode() for row in ids])


def against_transformers(folder, name):
    """Ids, offsets, types and decoded text. Of what transformers itself does to a text before it goes to tokenizers there is only
    CodeLlama's "<FILL_ME>", which is a token here."""
    peer = make_folder(folder, name).backend_tokenizer
    byteless = FOLDERS[name][2]["tokenizer_class"] == "LlamaTokenizer" and FOLDERS[name][0] == "bpe"
    texts, ours = sample([token.content for token in peer.get_added_tokens_decoder().values()] + [" Leads", "tools", "aing"]), Text(folder)
    if byteless:  # characters vanish, and tokenizers' offsets are then those of others
        return report(f"transformers {name}", texts, ids_of(folder, texts, True), [encoding.ids for encoding in peer.encode_batch(texts)])
    problems = list(compare_singles(ours, peer, texts)) + list(compare_pairs(ours, peer, texts))
    print(f"{'FAIL' if problems else 'ok  '} transformers {name}: {len(problems)} of {len(texts)} texts and {PAIRS} pairs differ", flush=True)
    if problems:
        sys.exit(problems[0])


def against_tokenizers(model, folder, name):
    """The whole set of rules in the place of the goldens' small one."""
    proto = import_protobuf().ModelProto()
    proto.ParseFromString(model)
    peer = Tokenizer.from_file(str(ROOT / "tests" / "golden" / "tokenizers" / "t5" / "tokenizer.json"))
    peer.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    (folder / "tokenizer.json").write_text(peer.to_str())
    texts = sample(list(peer.get_vocab()))
    report(f"tokenizers with {name}", texts, ids_of(folder, texts, True), [e.ids for e in peer.encode_batch(texts)])


def main():
    for folder in sorted(GOLDEN.glob("*/")):
        against_library(folder, folder.name)
    for name, options in SETS.items():
        with tempfile.TemporaryDirectory() as path:
            options, unused = dict(options), options.get("unused")
            options.pop("unused", None)
            folder, model = Path(path), train(**options)
            if unused:
                model = with_unused(model, lambda i, every=unused: i % every == 0)
            (folder / "tokenizer.model").write_bytes(model)
            against_library(folder, name)
            if "nfkc" in name:
                against_tokenizers(model, folder, name)
    for name in FOLDERS:
        with tempfile.TemporaryDirectory() as path:
            against_transformers(Path(path), name)


if __name__ == "__main__":
    main()
