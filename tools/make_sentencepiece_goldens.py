#!/usr/bin/env python3
"""Small SentencePiece models of every kind, and what the sentencepiece package makes of some texts.

    make_sentencepiece_goldens.py

Writes tests/golden/sentencepiece: for each NAME a folder NAME with tokenizer.model and expected.json: for each text of
tests/golden/tokenizers/texts.json [ids, decoded if it differs from the text or null]. And folders.json: the folders of FOLDERS, with the ids
that transformers gives a quarter of these texts. Versions: tools/peers-requirements.txt.
"""

import contextlib
import io
import json
import shutil
import tempfile
import unicodedata
from pathlib import Path

import sentencepiece
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import import_protobuf

from make_tokenizer_goldens import CORPUS, texts

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "sentencepiece"

BLANKS = "\t\n\r\f\u00a0\u1680\u2009\u200b\u200e\u2028\u2029\u3000\ufeff\ufffd"
GONE = "\x00\x01\x0b\x1f\x7f\x8f\xad"


def code_points(text):
    return " ".join(f"{ord(c):X}" for c in text)


def rules(folded):
    """A part of nmt_nfkc, for a small file: the characters of the texts and of some blocks, and pairs with marks."""
    table = {c: " " for c in BLANKS} | {c: "" for c in GONE if c != "\x00"} | {"\r\n": " "}
    characters = set("".join(texts())) | {chr(c) for c in range(0xA0, 0x180)} | {chr(c) for c in range(0xFB00, 0xFB07)}
    for c in sorted(characters):
        for form in (c, unicodedata.normalize("NFD", c), unicodedata.normalize("NFKD", c)):
            made = unicodedata.normalize("NFKC", form)
            made = unicodedata.normalize("NFKC", made.casefold()) if folded else made
            if form not in table and form != made and c not in BLANKS + GONE:
                table[form] = made
    return "".join(f"{code_points(old)}\t{code_points(new)}\n" for old, new in sorted(table.items()))


def train(**options):
    """Rules of its own (normalization_rule_tsv as text) stand in for the name of a large set."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if "rules" in options:
            Path("rules.tsv").write_text(options.pop("rules"))
            options["normalization_rule_tsv"] = "rules.tsv"  # a path that the model repeats
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS * 4), model_writer=model, minloglevel=2, hard_vocab_limit=False, num_threads=1,
            **({"vocab_size": 300, "model_type": "unigram", "normalization_rule_name": "identity"} | options))
        return model.getvalue()


def with_unused(model, some):
    """Pieces that are merged through and split again, and single characters of that type, which stay."""
    proto = import_protobuf().ModelProto.FromString(model)
    for i, piece in enumerate(proto.pieces):
        if piece.type == 1 and some(i):
            piece.type = 5
    return proto.SerializeToString()


MAKERS = {
    "unigram": lambda: train(rules=rules(False)),
    "unigram_bytes": lambda: train(vocab_size=460, byte_fallback=True, character_coverage=0.98, remove_extra_whitespaces=False,
                                   user_defined_symbols=["<sep>", "two words", "\n", "ab"], pad_id=3),
    "unigram_plain": lambda: train(add_dummy_prefix=False, character_coverage=0.98, split_by_whitespace=False, max_sentencepiece_length=8),
    "bpe": lambda: train(model_type="bpe", rules=rules(True), user_defined_symbols=["<|x|>", "ÉTÉ", "two words"], control_symbols=["<ctl>"]),
    "bpe_bytes": lambda: train(model_type="bpe", vocab_size=520, byte_fallback=True, character_coverage=0.98, remove_extra_whitespaces=False,
                               split_digits=True, allow_whitespace_only_pieces=True),
    "bpe_suffix": lambda: train(model_type="bpe", treat_whitespace_as_suffix=True, bos_id=-1, eos_id=1, unk_id=2, pad_id=0),
    "bpe_unused": lambda: with_unused(train(model_type="bpe", vocab_size=420, split_by_whitespace=False, user_defined_symbols=["ab"]), lambda i: i % 3 == 0),
    "unigram_unused": lambda: with_unused(train(vocab_size=280, byte_fallback=False), lambda i: i % 4 == 0),
    "unigram_cls": lambda: train(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=["[CLS]", "[SEP]", "[MASK]"], rules=rules(False)),
    "char": lambda: train(model_type="char", vocab_size=150, rules=rules(False), user_defined_symbols=["two words", "ab", "\n"], character_coverage=0.98),
    "char_bytes": lambda: train(model_type="char", vocab_size=400, byte_fallback=True, character_coverage=0.98, remove_extra_whitespaces=False),
    "word": lambda: train(model_type="word", vocab_size=90, user_defined_symbols=["two words", "ab"], rules=rules(True)),
    "word_bytes": lambda: train(model_type="word", vocab_size=350, byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False),
}


FLAGS = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
DECODER = {"460": FLAGS | {"content": "[INST]", "special": True}, "520": FLAGS | {"content": "tool", "special": False, "single_word": True},
           "521": FLAGS | {"content": " Lead", "special": False, "normalized": True, "rstrip": True}}

# A model of the goldens, the name of its file in the folder, tokenizer_config.json, other files.
FOLDERS = {
    "llama": ("bpe_bytes", "tokenizer.model", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}, {}),
    "llama_legacy": ("bpe_bytes", "tokenizer.model", {"tokenizer_class": "LlamaTokenizerFast", "legacy": True, "bos_token": "<s>"},
                     {"added_tokens.json": {"<pad>": 520, "ing": 521}, "special_tokens_map.json": {"pad_token": "<pad>"}}),
    "llama_added": ("bpe", "tokenizer.model", {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False, "add_eos_token": True,
                                               "added_tokens_decoder": DECODER}, {}),
    "code_llama": ("bpe_bytes", "tokenizer.model", {"tokenizer_class": "CodeLlamaTokenizer", "suffix_token": " Leads"}, {}),
    "code_llama_added": ("bpe_bytes", "tokenizer.model", {"tokenizer_class": "CodeLlamaTokenizerFast", "add_prefix_space": False, "fill_token": None,
                                                          "add_eos_token": True, "additional_special_tokens": ["hello"], "bos_token": "<pre>",
                                                          "added_tokens_decoder": DECODER}, {}),
    "gemma": ("bpe_bytes", "tokenizer.model", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "additional_special_tokens": ["hello"]}, {}),
    "t5": ("unigram", "spiece.model", {"tokenizer_class": "T5Tokenizer", "extra_ids": 7}, {}),
    "t5_plain": ("unigram_bytes", "spiece.model", {"tokenizer_class": "T5TokenizerFast", "added_tokens_decoder": DECODER}, {}),
    "xlm_roberta": ("unigram", "sentencepiece.bpe.model", {"tokenizer_class": "XLMRobertaTokenizer"}, {}),
    "xlm_roberta_bare": ("unigram_plain", "sentencepiece.bpe.model", {"tokenizer_class": "XLMRobertaTokenizer", "add_prefix_space": False}, {}),
    "camembert": ("unigram", "sentencepiece.bpe.model", {"tokenizer_class": "CamembertTokenizer"}, {}),
    "camembert_added": ("unigram_plain", "sentencepiece.bpe.model", {"tokenizer_class": "CamembertTokenizerFast", "bos_token": "<b>", "mask_token": "The",
                                                                    "additional_special_tokens": ["<s>NOTUSED", "hello"]}, {}),
    "barthez": ("unigram", "sentencepiece.bpe.model", {"tokenizer_class": "BarthezTokenizer", "add_eos_token": True}, {}),
    "xlnet": ("unigram", "spiece.model", {"tokenizer_class": "XLNetTokenizer"}, {}),
    "xlnet_lower": ("bpe_suffix", "spiece.model", {"tokenizer_class": "XLNetTokenizerFast", "do_lower_case": True, "keep_accents": True,
                                                   "additional_special_tokens": ["<eop>", "<eod>"]}, {}),
    "albert": ("unigram_cls", "spiece.model", {"tokenizer_class": "AlbertTokenizer"}, {}),
    "albert_cased": ("unigram_cls", "spiece.model", {"tokenizer_class": "AlbertTokenizer", "do_lower_case": False, "keep_accents": True,
                                                     "add_bos_token": True}, {}),
    "mbart": ("unigram", "sentencepiece.bpe.model", {"tokenizer_class": "MBartTokenizer"}, {}),
    "mbart_listed": ("unigram_plain", "sentencepiece.bpe.model", {"tokenizer_class": "MBartTokenizerFast", "src_lang": "de_DE",
                                                                  "additional_special_tokens": ["hello", "de_DE"]}, {}),
    "mbart50": ("unigram", "sentencepiece.bpe.model", {"tokenizer_class": "MBart50Tokenizer", "src_lang": "sl_SI"}, {}),
    "mbart50_plain": ("unigram_plain", "sentencepiece.bpe.model", {"tokenizer_class": "MBart50TokenizerFast", "cls_token": "<c>", "bos_token": "<b>"}, {}),
    "nllb": ("bpe", "sentencepiece.bpe.model", {"tokenizer_class": "NllbTokenizer"}, {}),
    "nllb_legacy": ("bpe_suffix", "sentencepiece.bpe.model", {"tokenizer_class": "NllbTokenizerFast", "legacy_behaviour": True, "src_lang": "deu_Latn",
                                                              "additional_special_tokens": ["eng_Latn", "deu_Latn"]}, {}),
    "pegasus": ("bpe_suffix", "spiece.model", {"tokenizer_class": "PegasusTokenizer"}, {}),
    "pegasus_offset": ("bpe_suffix", "spiece.model", {"tokenizer_class": "PegasusTokenizerFast", "offset": 9, "mask_token": "<mask_2>",
                                                       "mask_token_sent": "<mask_1>"}, {}),
}


def make_folder(folder, name):
    model, file, config, others = FOLDERS[name]
    shutil.copy(OUT / model / "tokenizer.model", folder / file)
    for path, content in ({"tokenizer_config.json": config} | others).items():
        (folder / path).write_text(json.dumps(content))
    return AutoTokenizer.from_pretrained(str(folder))


def expected(processor, text):
    ids = processor.encode(text)
    decoded = processor.decode(ids)
    return [ids, None if decoded == text else decoded]


def main():
    all_texts = texts()
    for name, make in MAKERS.items():
        model = make()
        (OUT / name).mkdir(parents=True, exist_ok=True)
        (OUT / name / "tokenizer.model").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        rows = [json.dumps(expected(processor, text), ensure_ascii=False, separators=(",", ":")) for text in all_texts]
        (OUT / name / "expected.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
    folders = {}
    for number, (name, (model, file, config, others)) in enumerate(FOLDERS.items()):
        with tempfile.TemporaryDirectory() as folder:
            ids = make_folder(Path(folder), name)(all_texts)["input_ids"]
        ids = [row if i % 4 == number % 4 else None for i, row in enumerate(ids)]
        folders[name] = {"model": model, "file": file, "files": {"tokenizer_config.json": config} | others, "ids": ids}
    (OUT / "folders.json").write_text(json.dumps(folders, ensure_ascii=False, separators=(",", ":")).replace("]],", "]],\n") + "\n")


if __name__ == "__main__":
    main()
