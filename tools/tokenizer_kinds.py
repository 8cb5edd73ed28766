"""Small tokenizers of many kinds, each put together as a well-known one is and trained on the corpus of make_tokenizer_goldens.py."""

import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, WordLevel, WordPiece
from tokenizers.trainers import BpeTrainer, WordLevelTrainer, WordPieceTrainer

from make_tokenizer_goldens import CORPUS, FLAGGED, LLAMA3

UNDER = "\u2581"
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT4O = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS + "?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS + "?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+"
             r"|\s+(?!\S)|\s+")
# With escapes where normal forms would change the letter
LATIN = ("A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d"
         "\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u1e00-\u1f15"
         "\u1fbe\u1fc2-\u1fc4\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\uff21-\uff3a\uff41-\uff5a"
         "\U00010400-\U0001044f\U0001e900-\U0001e943")
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
BERT_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def split(expression, behavior="isolated"):
    return pre_tokenizers.Split(Regex(expression), behavior)


def last_bytes():
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def byte_bpe(*splits, normalizer=None, added=()):
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(splits))
    if normalizer:
        tokenizer.normalizer = normalizer
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, BpeTrainer(vocab_size=330, initial_alphabet=letters, show_progress=False))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(list(added))
    return tokenizer


# ---- WordPiece


def wordpiece(normalizer, splitter, prefix="##", longest=100, special=BERT_TOKENS, added=()):
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]", max_input_chars_per_word=longest, continuing_subword_prefix=prefix))
    tokenizer.pre_tokenizer = splitter
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(CORPUS, WordPieceTrainer(vocab_size=300, limit_alphabet=100, special_tokens=special,
                                                           continuing_subword_prefix=prefix, show_progress=False))
    tokenizer.add_tokens(list(added))
    return tokenizer


def around(tokenizer, first, last):
    ids = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    return processors.TemplateProcessing(single=f"{first} $A {last}", pair=f"{first} $A {last} $B:1 {last}:1", special_tokens=ids)


def bert_uncased():
    tokenizer = wordpiece(normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer())
    tokenizer.post_processor = around(tokenizer, "[CLS]", "[SEP]")
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def bert_cased():
    """Accents follow the case; few letters to a word; tokens that the model does not have."""
    normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=None)
    tokenizer = wordpiece(normalizer, pre_tokenizers.BertPreTokenizer(), longest=12, added=FLAGGED)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return tokenizer


def bert_multilingual():
    normalizer = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=False)
    tokenizer = wordpiece(normalizers.Sequence([normalizers.NFC(), normalizer]), pre_tokenizers.BertPreTokenizer())
    tokenizer.post_processor = around(tokenizer, "[CLS]", "[SEP]")
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def distil():
    """Another prefix."""
    splitter = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("merged_with_previous")])
    tokenizer = wordpiece(normalizers.BertNormalizer(strip_accents=True, lowercase=False), splitter, prefix="@@")
    tokenizer.decoder = decoders.WordPiece(prefix="@@")
    return tokenizer


# ---- WordLevel


def words(splitter, normalizer=None, added=()):
    tokenizer = Tokenizer(WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = splitter
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(CORPUS, WordLevelTrainer(vocab_size=200, special_tokens=["[UNK]"], show_progress=False))
    tokenizer.add_tokens(list(added))
    return tokenizer


def words_whitespace():
    return words(pre_tokenizers.Whitespace(), normalizers.Strip(), FLAGGED)


def words_blanks():
    return words(pre_tokenizers.WhitespaceSplit(), normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents()]))


def words_scripts():
    return words(pre_tokenizers.UnicodeScripts(), normalizers.Strip(left=True, right=False))


def words_digits():
    return words(pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=True)]))


def words_delimiter():
    return words(pre_tokenizers.CharDelimiterSplit("e"), normalizers.Lowercase())


def words_length():
    return words(pre_tokenizers.FixedLength(2), normalizers.Strip(left=False, right=True))


# ---- SentencePiece's BPE


def metaspace(scheme, split_words=True, normalizer=None, added=()):
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split_words)
    if normalizer:
        tokenizer.normalizer = normalizer
    special = ["<unk>", "<s>", "</s>"]
    tokenizer.train_from_iterator(CORPUS, BpeTrainer(vocab_size=220, special_tokens=special, show_progress=False))
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    tokenizer.add_tokens(list(added))
    return tokenizer


def metaspace_always():
    return metaspace("always", added=FLAGGED)


def metaspace_first():
    return metaspace("first", added=FLAGGED)


def metaspace_never():
    return metaspace("never", split_words=False)


def strips():
    quotes = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    forms = [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer = metaspace("always", normalizer=normalizers.Sequence(quotes + forms))
    tokenizer.post_processor = around(tokenizer, "<s>", "</s>")
    return tokenizer


def bytes_as_tokens(pre_tokenizer, normalizer):
    tokenizer = Tokenizer(BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.normalizer = normalizer
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = [part + " " for line in CORPUS for part in line.split()]  # without words of their own there would be merges of whole lines
    tokenizer.train_from_iterator(pieces, BpeTrainer(vocab_size=420, limit_alphabet=60, special_tokens=special, show_progress=False))
    saved = Tokenizer(BPE(vocab=tokenizer.get_vocab(with_added_tokens=False), merges=merges_of(tokenizer), unk_token="<unk>", fuse_unk=True,
                          byte_fallback=True))
    saved.normalizer = normalizer
    if pre_tokenizer:
        saved.pre_tokenizer = pre_tokenizer
    saved.add_special_tokens(["<unk>", "<s>", "</s>"])
    return saved


def merges_of(tokenizer):
    return [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]


def llama2():
    tokenizer = bytes_as_tokens(None, normalizers.Sequence([normalizers.Prepend(UNDER), normalizers.Replace(" ", UNDER)]))
    tokenizer.decoder = decoders.Sequence([decoders.Replace(UNDER, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    begin = ("<s>", tokenizer.token_to_id("<s>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[begin])
    return tokenizer


def gemma():
    tokenizer = bytes_as_tokens(pre_tokenizers.Split(" ", "merged_with_previous"), normalizers.Replace(" ", UNDER))
    tokenizer.decoder = decoders.Sequence([decoders.Replace(UNDER, " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("<start_of_turn>", special=True, normalized=False)])
    return tokenizer


# ---- Byte-level BPE


def clip():
    tokenizer = Tokenizer(BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    letters = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    splitter = pre_tokenizers.Split(Regex(letters), "removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([splitter, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, BpeTrainer(vocab_size=620, initial_alphabet=alphabet, end_of_word_suffix="</w>",
                                                     special_tokens=["<|startoftext|>", "<|endoftext|>"], show_progress=False))
    ids = {token: tokenizer.token_to_id(token) for token in ("<|startoftext|>", "<|endoftext|>")}
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("<|endoftext|>", ids["<|endoftext|>"]),
                                                            ("<|startoftext|>", ids["<|startoftext|>"]), False, False)
    return tokenizer


def bloom():
    tokenizer = byte_bpe(split(BLOOM), last_bytes(), added=["<s>", "</s>"])
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=True, trim_offsets=False)
    return tokenizer


def deepseek_llm():
    marks = "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"
    return byte_bpe(split(r"[\r\n]"), split(rf"\s?[{LATIN}]+"), split(marks), split(r"\s+$"), split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"),
                    pre_tokenizers.Digits(individual_digits=True), last_bytes())


def deepseek_coder():
    return byte_bpe(split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"),
                    pre_tokenizers.Digits(individual_digits=True), last_bytes(), added=FLAGGED)


def deepseek_v3():
    return byte_bpe(split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(DEEPSEEK3), last_bytes())


def falcon():
    return byte_bpe(pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
                    pre_tokenizers.Digits(individual_digits=False), split("[0-9][0-9][0-9]"))


def thousands():
    """Groups of three digits from the right, and forms that take a text apart."""
    return byte_bpe(split(r"\d{1,3}(?=(?:\d{3})*\b)"), pre_tokenizers.ByteLevel(add_prefix_space=True),
                    normalizer=normalizers.Sequence([normalizers.NFKD(), normalizers.NFC()]))


def ruby():
    """Classes within classes, intersections, named lists, word ends: what PCRE2 reads otherwise."""
    return byte_bpe(split(r"[\p{L}&&[^\p{Lu}]]+"), split(r"[[:punct:]&&[^!]]+|[^[a-y[0-5-]]&&\p{Nd}]"), split(r"\b\w"), split(r"[\u0041-\u005A]\h*"),
                    split(r"[^\s\w[!?]]+"), last_bytes())


def gpt4o():
    return byte_bpe(split(GPT4O), last_bytes(), added=["<|endoftext|>"])


def qwen35():
    return byte_bpe(split(QWEN35), last_bytes(), normalizer=normalizers.NFC(), added=["<|im_start|>", "<|im_end|>"])


def holes():
    """Ids without a token: before special tokens, as in GPT-4's vocabulary, and within the others. An added token falls into a hole."""
    saved = json.loads(byte_bpe(split(LLAMA3), last_bytes()).to_str())
    vocabulary = {token: i + 40 * (i >= 300) for token, i in saved["model"]["vocab"].items()}
    first = max(vocabulary.values()) + 40
    saved["model"]["vocab"] = vocabulary | {"<|endoftext|>": first, "<|fim|>": first + 16}
    ids = saved["model"]["vocab"] | {"<mask>": len(vocabulary) + 2}
    assert ids["<mask>"] not in vocabulary.values()
    saved["added_tokens"] = [{"id": ids[token], **flagged(token)} for token in ("<|endoftext|>", "<|fim|>", "<mask>")]
    return Tokenizer.from_str(json.dumps(saved))


def normalised_bytes():
    """The byte alphabet as a normaliser."""
    tokenizer = byte_bpe(split("[^\u0120]+|\u0120"), normalizer=normalizers.Sequence([normalizers.NFD(), normalizers.ByteLevel()]))
    return tokenizer


# ---- Folders without tokenizer.json: vocab.txt and the files beside it ...


def vocab_txt(trained):
    """name: files, with the vocabulary of a tokenizer.json. BERT's as it was published, and two of which the files say more."""
    vocabulary = json.loads(trained.read_text())["model"]["vocab"]
    lines = "\n".join(sorted(vocabulary, key=vocabulary.get)) + "\n"
    mask = {"content": "<m>", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False, "__type": "AddedToken"}
    config = {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False,
              "mask_token": mask, "additional_special_tokens": ["<end>"], "model_max_length": int(1e30)}
    decoder = {"0": {"content": "[PAD]", "special": True, "normalized": False},
               "900": {"content": "two words", "special": False, "normalized": True, "rstrip": True}}
    return {
        "vocab_txt": {"vocab.txt": lines, "tokenizer_config.json": {"tokenizer_class": "DistilBertTokenizer"}},
        "vocab_txt_cased": {"vocab.txt": lines.replace("\n", "\r\n"), "tokenizer_config.json": config, "added_tokens.json": {"word": 301, "plumber": 300},
                            "special_tokens_map.json": {"cls_token": "<s>", "sep_token": "The"}},
        "vocab_txt_added": {"vocab.txt": lines, "tokenizer_config.json": {"tokenizer_class": "ElectraTokenizer", "added_tokens_decoder": decoder}},
    }


# ---- ... and vocab.json with merges.txt


def flagged(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True, **flags}


def vocab_json(folder):
    """name: files, with the models of tokenizer.json files below the folder. Each class of transformers reads the two files in its own way."""
    def files(trained, config, more=None, first="#version: 0.2\n", end="\n", extra=()):
        model = json.loads((folder / trained / "tokenizer.json").read_text())["model"]
        vocabulary = model["vocab"] | {token: len(model["vocab"]) + i for i, token in enumerate(extra)}
        pairs = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        return {"vocab.json": vocabulary, "merges.txt": first + "".join(pair + end for pair in pairs), "tokenizer_config.json": config, **(more or {})}

    roberta = {"tokenizer_class": "LongformerTokenizerFast", "trim_offsets": True, "sep_token": "<end>", "add_bos_token": False}
    whole = {"bos_token": "<s>", "mask_token": {**flagged("<mask>", lstrip=True), "__type": "AddedToken"}, "image_token": "<both>"}
    qwen = {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"],
            "add_prefix_space": None, "errors": "replace",
            "added_tokens_decoder": {"990": flagged("<|im_end|>", lstrip=True), "99": flagged("<|endoftext|>"),
                                     "991": flagged("two words", special=False, normalized=True), "992": flagged("word", special=False, single_word=True)}}
    gaps = files("gpt2", {"additional_special_tokens": ["<both>"], "bos_token": "<mask>"}, {"config.json": {"model_type": "gpt2"}})
    gaps["vocab.json"] = {token: i + 60 * (i >= 280) for token, i in gaps["vocab.json"].items()}
    gaps["vocab.json"] |= {"<|endoftext|>": 500, "<mask>": 300 - 7}
    return {
        "vocab_json": files("gpt2", {"add_bos_token": True, "add_prefix_space": True, "model_max_length": int(1e30)},
                            {"config.json": {"model_type": "gpt2"}, "added_tokens.json": {"word": 500, "<right>": 400, "<mask>": 300},
                             "special_tokens_map.json": {"bos_token": flagged("<s>"), "mask_token": "<mask>"}}),
        "vocab_json_roberta": files("gpt2", {**roberta, **whole}, end="\r\n", extra=("<pad>", "<s>", "</s>", "<mask>")),
        "vocab_json_deberta": files("gpt2", {"add_bos_token": True}, {"config.json": {"model_type": "deberta"}}),
        "vocab_json_qwen2": files("qwen2", qwen, first=""),
        "vocab_json_clip": files("clip", {}, {"config.json": {"model_type": "clip", "vocab_size": 620}}, end="\r\n"),
        "vocab_json_cohere": files("gpt2", {"tokenizer_class": "CohereTokenizerFast", "add_bos_token": True, "add_eos_token": True}),
        "vocab_json_neox": files("gpt2", {"extra_special_tokens": {"image": "<both>", "end": "<end>"}},
                                 {"config.json": {"model_type": "gpt2", "tokenizer_class": "GPTNeoXTokenizerFast"}}),
        "vocab_json_holes": gaps,
        "vocab_json_blenderbot": files("gpt2", {"tokenizer_class": "BlenderbotTokenizer", "add_eos_token": True}, extra=("<pad>", "</s>")),
    }


MAKERS = {maker.__name__: maker for maker in (
    bert_uncased, bert_cased, bert_multilingual, distil, words_whitespace, words_blanks, words_scripts, words_digits, words_delimiter, words_length,
    metaspace_always, metaspace_first, metaspace_never, strips, llama2, gemma, clip, bloom, deepseek_llm, deepseek_coder, deepseek_v3, falcon,
    thousands, ruby, gpt4o, qwen35, normalised_bytes, holes)}
