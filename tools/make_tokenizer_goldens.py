#!/usr/bin/env python3
"""Small tokenizers of every kind, and what Hugging Face's tokenizers make of some texts.

    make_tokenizer_goldens.py

Writes tests/golden/tokenizers: texts.json, and for each NAME a folder NAME with tokenizer.json (or vocab.txt, or vocab.json, and what is beside it) and
expected.json: for each text
[ids, byte offsets flat, ids without special tokens if they differ or null, decoded if it differs from the text or null, decoded without
special tokens if it differs from the former or null]; null for a text that was left out to keep the file small. Those of tokenizer_kinds.py
are trained once: a tokenizer.json that is there is kept, since training with prefixes or suffixes gives other ids each time. Versions:
tools/peers-requirements.txt.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "tokenizers"

CORPUS = """The kettle is on. Please book a table for two at seven, and don't forget the umbrella: it'll rain.
We're out of milk; they've asked for 12 eggs, 3 loaves and 250 g of butter (about 1,5 pounds). I'd say it's 2024-05-17 already!
HELLO WORLD, Hello World, hello world. She'd like to know who's coming and what we'll eat in the garden.
The plumber comes on Tuesday at 10:45; the washing machine in the kitchen leaks and the light in the hall flickers.
def add(first, second):\n    return first + second\n\n\nfor number in range(10):\n\tprint(number, "is", number * number)
Füße, naïve café, Ærø, Straße, œuvre, São Paulo, Łódź, İstanbul, ΑΒΓ αβγ, Привет мир, שלום עולם, مرحبا بالعالم, नमस्ते दुनिया,
สวัสดีชาวโลก, こんにちは世界, 你好，世界, 안녕하세요 세계, 😀 👩‍👩‍👧 🇩🇪 ½ ⅓ Ⅷ ² १२३ ４５
""".split("\n")

GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|NUMBERS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3, QWEN2 = GPT4.replace("NUMBERS", r"\p{N}{1,3}"), GPT4.replace("NUMBERS", r"\p{N}")

FLAGGED = [
    AddedToken("<end>", special=True, normalized=False),
    AddedToken("<end", special=False, normalized=False),
    AddedToken("<mask>", special=True, normalized=False, lstrip=True),
    AddedToken("<right>", special=False, normalized=False, rstrip=True),
    AddedToken("<both>", special=True, normalized=False, lstrip=True, rstrip=True),
    AddedToken("word", special=False, normalized=False, single_word=True),
    AddedToken("two words", special=False, normalized=True),
    AddedToken("ÉTÉ", special=False, normalized=True),
    AddedToken("\n\n\n", special=False, normalized=False),
]


def trained(splitter, normalizer=None, size=330, alphabet=True, unknown=None, fuse=False):
    tokenizer = Tokenizer(BPE(unk_token=unknown, fuse_unk=fuse))
    tokenizer.pre_tokenizer = splitter
    if normalizer:
        tokenizer.normalizer = normalizer
    letters = pre_tokenizers.ByteLevel.alphabet() if alphabet else []
    special = [unknown] if unknown else []
    tokenizer.train_from_iterator(CORPUS, BpeTrainer(vocab_size=size, initial_alphabet=letters, special_tokens=special, show_progress=False))
    return tokenizer


def gpt2():
    tokenizer = trained(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def roberta():
    tokenizer = trained(pre_tokenizers.ByteLevel(add_prefix_space=True))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", AddedToken("<mask>", lstrip=True)])
    ids = {text: tokenizer.token_to_id(text) for text in ("<s>", "</s>")}
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", ids["</s>"]), ("<s>", ids["<s>"]), True, True)
    return tokenizer


def llama3():
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    tokenizer = trained(pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), size=400)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    begin = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    template = processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B:1", special_tokens=[begin])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template])
    return tokenizer


def qwen2():
    split = pre_tokenizers.Split(Regex(QWEN2), "isolated")
    splitter = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = trained(splitter, normalizers.NFC())
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return tokenizer


def smollm():
    splitter = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer = trained(splitter)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Fuse()])
    tokenizer.add_tokens(FLAGGED)
    return tokenizer


def lowercase():
    """Normalisers before everything, every kind of split, a template on both sides with several type ids."""
    splitter = pre_tokenizers.Sequence([
        pre_tokenizers.Split(", ", "merged_with_previous"),
        pre_tokenizers.Split("(", "merged_with_next"),
        pre_tokenizers.Split(Regex(r"[ \t]+"), "removed"),
        pre_tokenizers.Split(Regex(r"\p{L}+"), "contiguous", invert=True),
        pre_tokenizers.Split(Regex(r"(?=\p{Lu})"), "isolated"),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
    ])
    forms = [normalizers.NFKD(), normalizers.Lowercase(), normalizers.Replace(Regex(r"o+"), "0"), normalizers.Replace("ae", "æ"),
             normalizers.NFKC(), normalizers.Prepend("_")]
    tokenizer = trained(splitter, normalizers.Sequence(forms))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(FLAGGED)
    special = [("[CLS]", 3), ("[SEP]", 5)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS]:2 $A:1 [SEP]:3", pair="$A $B", special_tokens=special)
    return tokenizer


def unknown():
    """No byte alphabet: letters it has not seen are unknown, several in a row as one; no decoder."""
    tokenizer = trained(pre_tokenizers.Split(" ", "merged_with_next"), normalizers.NFD(), 200, False, "<unk>", True)
    tokenizer.add_tokens([AddedToken("plumber", single_word=True)])
    return tokenizer


MAKERS = {"gpt2": gpt2, "roberta": roberta, "llama3": llama3, "qwen2": qwen2, "smollm": smollm, "lowercase": lowercase, "unknown": unknown}


def texts():
    plain = ["", " ", "  ", "\n", "\r\n", "\t\t x", "a", "Hello, world!", " leading", "trailing ", "trailing  \n", "a\n\n\nb", "a \n \n b",
             "don't we'll THEY'VE I'D 'S 'ſ 'T it's", "'''", "x's's", "can’t", "1", "12", "123", "1234", "12345678", "3.14159", "1,000,000",
             "½", "1½ cups", "Ⅷ", "x² + y³", "१२३४", "４５６", "abc123def", "2024-05-17T10:45:00Z", "a" * 120, "ab" * 60, " " * 33 + "x",
             "x" + " " * 33, "\n" * 9, "\t" * 7 + "\n" * 3, " \n \n  \t", "HELLO", "Hello World hello world", "ΑΒΓ ΣΑΣ", "Straße", "ẞ", "İI", "ŉ"]
    marks = ["é", "e\u0301", "Å", "A\u030a", "a\u0323\u0307", "a\u0307\u0323", "ậ", "ﬁne", "ﬃ", "Ǆ", "가각", "가각", "①②", "㌔", "ｶﾞ",
             "q\u0300\u0301\u0302", "\u0301", "\u0301a", "e\u0301\u0323x\u0301", "한국어", "ợ", "א\u05b0\u05bc", "कि", "Ｆｕｌｌ　ｗｉｄｔｈ"]
    scripts = ["שלום עולם", "مرحبا بالعالم", "नमस्ते", "สวัสดี", "你好，世界。", "こんにちは", "Привет, мир!", "ภาษาไทย 123", "אבג123", "ελληνικά"]
    emoji = ["😀", "😀😀", "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "👍🏽", "❤️", "a😀b", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "☃", "™©®"]
    blanks = ["a\u00a0b", "a\u3000b", "a\u180eb", "a\u200bb", "a\u2028b\u2029", "a\x85b", "a\x0bb\x0cc", "\ufeffa", "a\u2009 b", "a\u200db"]
    odd = ["\x00", "a\x00b", "\x7f", "\x80", "\xad", "\ufffd", "\uffff", "\U0010ffff", "\ue000", "\u0897\u0ece", "\U00010d50\U0001e5d0", "\U0002ebf0",
           "\U00011938", "\u32ff", "_", "__init__", "a_b", "C++", "#include <x.h>", "{\"a\": [1, 2.5e-3, null]}", "https://x.org/?q=1&r=%20#t",
           "print(\"hi\")\n    return  x;\n}", "if (a && b || !c) { d ^= ~e; }", "----====----", "…—–", "!!!???", "$5.00 £3 €2 ¥1", "50% ± 2"]
    added = ["<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|endoftext|>", " <|endoftext|> ", "<|im_start|>user\nHi<|im_end|>\n", "<s>x</s>",
             "x <mask> y", "x  <mask>  y", "<mask>", "x<mask>y", "a <right>  b", "a<right>\n\nb", "a  <both>  b", " <both> <both> ", "<end><end",
             "<end<end>", "word words sword word.", "word", "_word word_", "ⓐword wordé word", "two words Two Words twowords", "ÉTÉ été Été ete",
             "E\u0301TE\u0301", "<|begin_of_text|>x<|eot_id|>", "the plumber, plumbers", "<right> <mask>", "<right>  <both>", "aword", "word\u0301", "a<right>\n\n\n\nb", "<right>\n\n\n"]
    sentences = ["The quick brown fox jumps over the lazy dog.", "Please book a table for two at seven.", "It'll rain; they've asked for 12 eggs.",
                 "caeæ oO (ab), (cd) foo, bar", "AbCdEf(GhI) jKl, mNo", "zażółć gęślą jaźń", "Ærø œuvre São Paulo Łódź", "the  kettle\tis   on\n"]
    return plain + marks + scripts + emoji + blanks + odd + added + sentences


def expected(tokenizer, text):
    bytes_before = [0]
    for character in text:
        bytes_before.append(bytes_before[-1] + len(character.encode()))
    full, bare = tokenizer.encode(text), tokenizer.encode(text, add_special_tokens=False)
    offsets = [bytes_before[at] for pair in full.offsets for at in pair]
    decoded = tokenizer.decode(full.ids, skip_special_tokens=False)
    skipped = tokenizer.decode(full.ids, skip_special_tokens=True)
    return [full.ids, offsets, None if bare.ids == full.ids else bare.ids, None if decoded == text else decoded,
            None if skipped == decoded else skipped]


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(compact(value) + "\n")


def save(name, saved, all_texts, wanted):
    write(OUT / name / "tokenizer.json", saved)
    save_rows(name, Tokenizer.from_str(json.dumps(saved)), all_texts, wanted)


def save_rows(name, tokenizer, all_texts, wanted):
    rows = [expected(tokenizer, text) if wanted(i) else None for i, text in enumerate(all_texts)]
    (OUT / name / "expected.json").write_text("[\n" + ",\n".join(map(compact, rows)) + "\n]\n")


def main():
    from tokenizer_kinds import MAKERS as MORE_MAKERS
    from tokenizer_kinds import vocab_json, vocab_txt
    from transformers import AutoTokenizer

    all_texts = texts()
    write(OUT / "texts.json", all_texts)
    for number, (name, make) in enumerate(MORE_MAKERS.items()):
        path = OUT / name / "tokenizer.json"
        saved = path.read_text() if path.exists() else make().to_str()
        save(name, json.loads(saved), all_texts, lambda i, n=number: i % 4 == n % 4)
    folders = vocab_txt(OUT / "bert_cased" / "tokenizer.json") | vocab_json(OUT)
    for number, (name, files) in enumerate(folders.items()):
        (OUT / name).mkdir(exist_ok=True)
        for file, content in files.items():
            (OUT / name / file).write_bytes((content if isinstance(content, str) else compact(content)).encode())
        tokenizer = AutoTokenizer.from_pretrained(OUT / name).backend_tokenizer
        save_rows(name, tokenizer, all_texts, lambda i, n=number: i % 4 == n % 4)
    for name, make in MAKERS.items():
        saved = json.loads(make().to_str())
        if name == "llama3":
            saved["model"]["ignore_merges"] = True
            saved["model"]["merges"] = saved["model"]["merges"][::2]  # so that it makes a difference
        if name == "qwen2":
            saved["model"]["merges"] = [" ".join(pair) for pair in saved["model"]["merges"]]  # as files before 2024 have it
        vocabulary = saved["model"]["vocab"]
        merged = {"".join(merge) if isinstance(merge, list) else merge.replace(" ", "") for merge in saved["model"]["merges"]}
        assert all(merge in vocabulary for merge in merged)
        save(name, saved, all_texts, lambda i: True)


if __name__ == "__main__":
    main()
