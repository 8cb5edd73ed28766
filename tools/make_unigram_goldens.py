#!/usr/bin/env python3
"""Unigram tokenizers as make_tokenizer_goldens.py makes the others, in the same form and place: tests/golden/tokenizers.

    make_unigram_goldens.py

Their precompiled rules are those of tests/golden/sentencepiece/unigram (make_sentencepiece_goldens.py).
"""

import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from tokenizers.trainers import UnigramTrainer
from transformers.convert_slow_tokenizer import import_protobuf

from make_tokenizer_goldens import CORPUS, FLAGGED, OUT, save, texts


def precompiled():
    model = import_protobuf().ModelProto()
    model.ParseFromString((OUT.parent / "sentencepiece" / "unigram" / "tokenizer.model").read_bytes())
    return normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)


def trained(splitter, normalizer, special, size=300, alphabet=()):
    tokenizer = Tokenizer(Unigram())
    tokenizer.pre_tokenizer, tokenizer.normalizer = splitter, normalizer
    tokenizer.train_from_iterator(CORPUS * 4, UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False,
                                                            initial_alphabet=list(alphabet)))
    return tokenizer


def words():
    return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])


def t5():
    tokenizer = trained(words(), precompiled(), ["<pad>", "</s>", "<unk>"])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([f"<extra_id_{i}>" for i in range(3)])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def xlm_roberta():
    tokenizer = trained(words(), normalizers.Sequence([precompiled(), normalizers.Replace(Regex(" {2,}"), " ")]), ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    special = [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=special)
    return tokenizer


def albert():
    """Several normalisers before the precompiled rules, the whole text as one word, blanks at its end kept."""
    forms = [normalizers.Replace("``", '"'), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), precompiled(),
             normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")]
    tokenizer = trained(pre_tokenizers.Metaspace(prepend_scheme="first", split=False), normalizers.Sequence(forms), ["<unk>", "[CLS]"], 200)
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_tokens(FLAGGED)
    return tokenizer


def unigram_bytes():
    """Byte fallback, without the bytes that no UTF-8 text has."""
    some = [f"<0x{byte:02X}>" for byte in range(256) if byte not in (0xC0, 0xC1, 0xF0)]
    forms = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer = trained(pre_tokenizers.Split("@@", "removed"), forms, ["<unk>"] + some, 380)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


MAKERS = {"t5": t5, "xlm_roberta": xlm_roberta, "albert": albert, "unigram_bytes": unigram_bytes}


def main():
    all_texts = texts()
    for name, make in MAKERS.items():
        saved = json.loads(make().to_str())
        if name == "unigram_bytes":
            saved["model"]["byte_fallback"] = True
            saved["added_tokens"] = []
        for entry in saved["model"]["vocab"]:
            entry[1] = round(entry[1], 6)
        save(name, saved, all_texts, lambda i: True)


if __name__ == "__main__":
    main()
