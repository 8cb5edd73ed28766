#!/usr/bin/env python3
"""Small vocabularies of every kind that GGUF has, and what llama.cpp makes of some texts with them.

    make_gguf_vocabulary_goldens.py

Writes tests/golden/gguf_vocabularies: NAME.gguf and NAME.json, which has for each text of texts.json there, or the last of them, [ids, decoded if it differs
from the text or null, decoded without special tokens if that differs from the former or null]; and names.json, which has for each name of
a pre-tokenizer the 32-bit FNV-1a hashes of the ids (i32) of each text, with the vocabulary gpt2.gguf. Needs what
tools/make_llama_cpp.sh builds; PYTHONPATH must have tools and tools/peers. Versions: tools/peers-requirements.txt.
"""

import io
import json
import re
import struct
import tempfile
from pathlib import Path

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordPiece
from tokenizers.trainers import BpeTrainer, WordPieceTrainer

from llama_cpp import VOCABULARIES, peer_results, set_text
from make_tokenizer_goldens import CORPUS, LLAMA3

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "gguf_vocabularies"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
RAW = {"gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace"}

EXTRA = [
    "<s>Hello</s> world", " <s> <s>a", "a <sep> b<sep>c", "<sep>\n d", "[MASK] a [MASK]", "<unk>x", "<|im_end|>\n<|im_start|>user", "", "   ",
    " leading", "trailing ", "a  b   c", "a\n\nb\n\n\n\nc", "It 's . Is n't ' it ' ? We 're , they 've !", "▁a▁ b", "<0x41>", "don't DON'T",
    "IMGIMGABCZ <sentinel:7>", "12345678 ½1234½ ٣٤٥٦٧ 1,234", "fooBARBaz fooBar", "\ufb01ne \uff46\uff55\uff4c\uff4c \u00bd \u212b e\u0301 \u00e9", "\u0000\u0001a\u200bb\u00adc",
    "a\u2003b\u3000c\u180ed\u0085e", "中文字 abc中", "〈ｘ〉 «quoted» $5 + 3 = 8 ~ ^", "x" * 120, "1" * 40, " \u2003一", "ИГОРЬ İstanbul", "\U0002ebf0\U00016100\U0001fae8",
]  # fmt: skip


class Vocabulary:
    def __init__(self, name, model, tokens, types, **more):
        self.path = OUT / f"{name}.gguf"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vocabulary.gguf"
            writer = gguf.GGUFWriter(path, more.pop("architecture", "llama"))
            if "title" in more:
                writer.add_name(more.pop("title"))
            writer.add_tokenizer_model(model)
            writer.add_token_list(tokens)
            writer.add_token_types(types)
            for key, value in more.pop("truths", {}).items():
                writer.add_bool(f"tokenizer.ggml.{key}", value)
            for key, value in more.items():
                getattr(writer, f"add_{key}")(value)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.close()
            self.path.write_bytes(path.read_bytes())

    def expect(self, texts):
        rows = []
        for text, (ids, full, bare) in zip(texts, peer_results(self.path, texts, True)[1]):
            full, bare = full.decode(), bare.decode()
            rows.append([ids, None if full == text else full, None if bare == full else bare])
        write(f"{self.path.stem}.json", rows)


def write(name, value):
    rows = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in value)
    (OUT / name).write_text("[" + ",\n".join(rows) + "]\n" if isinstance(value, list) else json.dumps(value, separators=(",", ":")) + "\n")


def byte_level():
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False))
    return pieces_of(tokenizer)


def pieces_of(tokenizer):
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [" ".join(merge) for merge in model["merges"]]


def gpt2():
    tokens, merges = byte_level()
    added = {"<|endoftext|>": CONTROL, "<|im_end|>": NORMAL, "<|im_start|>": CONTROL, "<sep>": USER_DEFINED, "unused": UNUSED}
    types = [NORMAL] * len(tokens) + list(added.values())
    return Vocabulary("gpt2", "gpt2", tokens + list(added), types, tokenizer_pre="gpt-2", token_merges=merges, eos_token_id=len(tokens),
                      bos_token_id=len(tokens))  # fmt: skip


def gemma4():
    """Words of UTF-8, with U+2581 for blanks."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.train_from_iterator([line[:60] for line in CORPUS], BpeTrainer(vocab_size=330, show_progress=False))
    tokens, merges = pieces_of(tokenizer)
    special = {"<pad>": CONTROL, "<eos>": CONTROL, "<bos>": CONTROL, "<unk>": UNKNOWN, "<sep>": USER_DEFINED, "\n\n": NORMAL, "\n": NORMAL}
    types = list(special.values()) + [BYTE] * 256 + [NORMAL] * len(tokens)
    return Vocabulary("gemma4", "gemma4", list(special) + BYTES + tokens, types, token_merges=merges, bos_token_id=2, eos_token_id=1, unk_token_id=3,
                      add_bos_token=False)  # fmt: skip


def sentencepiece_model(kind, size, **options):
    """Tokens, types and scores, and the rules of normalising, of which this one has a few."""
    rules = [("\ufb01", "fi"), ("\u00bd", "1/2"), ("e\u0301", "\u00e9"), ("\u212b", "\u00c5"), ("\t", " "), ("\u3000", " "), ("\u200b", ""),
             ("\uff46", "f"), ("\u2003", " ")]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rules.tsv"
        points = [tuple(" ".join(f"{ord(c):X}" for c in text) for text in rule) for rule in rules]
        table.write_text("".join(f"{old}\t{new}\n" for old, new in points))
        trained = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS), model_writer=trained, model_type=kind, vocab_size=size, normalization_rule_tsv=str(table),
            character_coverage=1.0, minloglevel=2, hard_vocab_limit=False, num_threads=1, **options,
        )  # fmt: skip
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(trained.getvalue())
    pieces = model.pieces
    return [p.piece for p in pieces], [p.type for p in pieces], [p.score for p in pieces], model.normalizer_spec.precompiled_charsmap


def spm(name, **more):
    tokens, types, scores, _ = sentencepiece_model("bpe", 480, byte_fallback=True, user_defined_symbols=["<sep>"], control_symbols=["<|endoftext|>"])
    return Vocabulary(name, "llama", tokens, types, token_scores=scores, **more)


def t5(name, **more):
    tokens, types, scores, rules = sentencepiece_model("unigram", 220, unk_id=2, eos_id=1, pad_id=0, bos_id=-1, user_defined_symbols=["<sep>"])
    return Vocabulary(name, "t5", tokens, types, token_scores=scores, precompiled_charsmap=rules, architecture="t5", **more)


def bert(name, lowercase, **more):
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, WordPieceTrainer(vocab_size=380, special_tokens=special, show_progress=False))
    vocab = tokenizer.get_vocab()
    tokens = sorted(vocab, key=vocab.get)
    tokens = [token if token in special else token[2:] if token.startswith("##") else "▁" + token for token in tokens]
    types = [UNKNOWN if token == "[UNK]" else CONTROL if token in special else NORMAL for token in tokens]
    return Vocabulary(name, "bert", tokens, types, bos_token_id=2, eos_token_id=3, sep_token_id=3, unk_token_id=1, pad_token_id=0, mask_token_id=4,
                      architecture="bert", **more)  # fmt: skip


def fnv(ids):
    value = 0x811C9DC5
    for byte in struct.pack(f"<{len(ids)}i", *ids):
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def hash_all(results):
    return fnv([part for ids, _, _ in results for part in [len(ids), *ids]])


def expect_names(vocabulary, texts):
    names = sorted(set(re.findall(r'tokenizer_pre == "([^"]+)"', (VOCABULARIES / "llama-vocab.cpp").read_text())) - RAW)
    data = vocabulary.path.read_bytes()
    expected = {}
    with tempfile.TemporaryDirectory() as folder:
        renamed = Path(folder) / "renamed.gguf"
        for name in names:
            renamed.write_bytes(set_text(data, "tokenizer.ggml.pre", name))
            expected[name] = hash_all(peer_results(renamed, texts, True)[1])
    write("names.json", expected)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    texts = json.loads((OUT.parent / "tokenizers" / "texts.json").read_text()) + EXTRA
    write("texts.json", texts)
    base = gpt2()
    base.expect(texts)
    expect_names(base, texts)
    for vocabulary in [gemma4(), spm("llama"), bert("bert", True), t5("t5", add_space_prefix=True, remove_extra_whitespaces=True)]:
        vocabulary.expect(texts)
    for vocabulary in [
        spm("phi3", title="A Phi-3 model", add_space_prefix=False, add_bos_token=False, add_eos_token=True),
        bert("bert_cased", False, truths={"normalizer.lowercase": False}),
        t5("t5_spaces", add_space_prefix=True, remove_extra_whitespaces=False, add_eos_token=False),
    ]:
        vocabulary.expect(EXTRA)


if __name__ == "__main__":
    main()
