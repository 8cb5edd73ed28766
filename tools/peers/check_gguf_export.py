#!/usr/bin/env python3
"""Tokenizers of folders, written as GGUF: the ids of random texts from the file, by lorac and by llama.cpp, against those of the folder.

    check_gguf_export.py [--strings N] [NAME...]

Every folder of tests/golden/tokenizers and every SentencePiece model of tests/golden/sentencepiece, alone and in folders that name a class, as the
tokenizer of a small model, which is exported. What llama.cpp cannot do is refused, and REFUSED says by which component; where only rare texts get
other ids, RARE says which, and these are left out. lorac and llama.cpp agree on every text. Needs what tools/make_llama_cpp.sh builds; without it the
check is skipped.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from gguf import GGUFReader
from safetensors.numpy import save_file

from check_gguf_tokenizer import random_texts
from check_sentencepiece import SETS
from llama_cpp import PEER, Library, peer_results
from make_sentencepiece_goldens import FOLDERS, OUT, make_folder, train, with_unused
from peer import ROOT, SKIPPED, attempt

ROWS = 1100  # more than any of them has tokens

# What the refusal names.
REFUSED = {
    "albert": "Replace", "bert_multilingual": "handle_chinese_chars", "clip": "end_of_word_suffix", "deepseek_llm": "pre_tokenizer",
    "distil": "Whitespace", "falcon": "pre_tokenizer", "llama2": "model.merges", "lowercase": "NFKD", "metaspace_always": "byte_fallback",
    "metaspace_first": "byte_fallback", "metaspace_never": "byte_fallback", "normalised_bytes": "NFD", "roberta": "add_prefix_space",
    "ruby": "pre_tokenizer", "strips": "Replace", "thousands": "NFKD", "unigram_bytes": "Nmt", "unknown": "NFD", "vocab_json": "add_prefix_space",
    "vocab_txt_cased": "handle_chinese_chars", "words_blanks": "WordLevel", "words_delimiter": "WordLevel", "words_digits": "WordLevel",
    "words_length": "WordLevel", "words_scripts": "WordLevel", "words_whitespace": "WordLevel",
    "sentencepiece bpe": "precompiled_charsmap", "sentencepiece bpe_suffix": "remove_extra_whitespaces",
    "sentencepiece unigram_bytes": "byte_fallback", "sentencepiece unigram_plain": "add_dummy_prefix",
    "sentencepiece nfkc": "precompiled_charsmap", "sentencepiece nfkc_cf": "precompiled_charsmap", "sentencepiece identity": "whitespace_as_suffix",
    "sentencepiece bpe_unused": "remove_extra_whitespaces", "sentencepiece char": "precompiled_charsmap", "sentencepiece word": "WORD",
    "sentencepiece word_bytes": "WORD", "sentencepiece bpe_bytes_unused": "UNUSED", "vocab_json_blenderbot": "add_prefix_space",
    "class llama_added": "byte_fallback", "class t5_plain": "WhitespaceSplit", "class xlm_roberta_bare": "prepend_scheme",
    "class camembert_added": "WhitespaceSplit", "class barthez": "Replace", "class xlnet": "post_processor", "class xlnet_lower": "post_processor",
    "class albert": "Replace", "class albert_cased": "Replace", "class mbart": "post_processor", "class mbart_listed": "post_processor",
    "class mbart50_plain": "Metaspace (split)", "class nllb": "Precompiled", "class nllb_legacy": "post_processor", "class pegasus": "Replace",
    "class pegasus_offset": "Replace",
}  # fmt: skip


def not_nfc(text):
    return unicodedata.normalize("NFC", text) != text


def newer(text):
    """Characters of Unicode 16 or 17: to llama.cpp they are none."""
    return any(unicodedata.category(c) == "Cn" for c in text)


def has(expression):
    return re.compile(expression).search


def beside_blank(token):
    """White space that Hugging Face gives to the token."""
    return has(rf"\s{re.escape(token)}|{re.escape(token)}\s")


def bert(text):
    """Controls and marks that count as something else, what decomposes into several letters, characters that Unicode got later."""
    return newer(text) or any(unicodedata.category(c)[0] in "CMS" and ord(c) > 127 or ord(c) < 32 or c == "\x7f" for c in text)


def bert_bare(text):
    """And without accents: Hangul, and whatever else is more than a letter and its accents."""
    return bert(text) or not_nfc(text) or any("\uac00" <= c <= "\ud7a3" or len(unicodedata.normalize("NFD", c)) > 2 for c in text)


def word_marks(text):
    """Marks, which the one expression has in words and the other not."""
    return newer(text) or any(unicodedata.category(c)[0] == "M" for c in text)


def ruled_mark(text):
    """A mark behind a character with a rule: to tokenizers they are one, and the mark goes."""
    pairs = zip(text, text[1:])
    return any(unicodedata.category(mark)[0] == "M" and unicodedata.normalize("NFKC", c) != c for c, mark in pairs)


def no_blank(text):
    """White space to tokenizers, but not to the rules; what stands for it."""
    return "\u0085" in text or "\u2581" in text or ruled_mark(text)


def no_rule(text):
    """The goldens have fewer rules."""
    return no_blank(text) or has("[\u2000-\u200a]")(text)


def at_end(text):
    """Blanks at the end, which tokenizers squeezes into one, and llama.cpp drops; on their own, too, before a special token."""
    return no_rule(text) or re.search(r"[\s\u200b-\u200f\ufeff\ufffd](<|$)", text)


first = "^[ \u2581]|<s>|</s>"

# The texts that get other ids, as the notes say.
RARE = {
    "bert_cased": bert, "bert_uncased": bert_bare, "vocab_txt": bert_bare, "vocab_txt_added": bert_bare,
    "deepseek_coder": beside_blank("<mask>"), "smollm": beside_blank("<mask>"), "vocab_json_roberta": beside_blank("<mask>"),
    "deepseek_v3": newer, "gpt4o": word_marks,
    "qwen2": not_nfc, "qwen35": not_nfc, "vocab_json_cohere": not_nfc, "vocab_json_qwen2": not_nfc,
    "t5": no_rule, "xlm_roberta": no_rule, "class t5": no_rule, "class xlm_roberta": no_rule,
    "sentencepiece unigram": has("\u2581"), "sentencepiece unigram_cls": has("\u2581"), "sentencepiece unigram_unused": has("\u2581"), "sentencepiece nmt_nfkc": has("\u2581"), "sentencepiece user_defined": has("\u2581|<sep>"), "class t5 nmt_nfkc": no_blank,
    "class camembert": no_rule, "class mbart50": at_end, "class code_llama": has(first),
    "class llama": has(first), "class llama_legacy": has(first),
    "class gemma": has("</s>"),  # which llama.cpp knows by its text
}  # fmt: skip


def never(text):
    return False


def make_model(folder):
    """A model of one small block."""
    width, inner = 32, 64
    generator = numpy.random.default_rng(0)
    block = {
        "self_attn.q_proj": (width, width), "self_attn.k_proj": (width, width), "self_attn.v_proj": (width, width), "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width), "mlp.down_proj": (width, inner), "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }  # fmt: skip
    shapes = {"model.embed_tokens.weight": (ROWS, width), "model.norm.weight": (width,)}
    shapes |= {f"model.layers.0.{name}.weight": shape for name, shape in block.items()}
    tensors = {name: generator.standard_normal(shape).astype("float32") / 8 for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "vocab_size": ROWS,
        "tie_word_embeddings": True, "hidden_act": "silu", "rope_theta": 10000.0,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))


def copy_files(source, folder):
    for path in source.iterdir():
        shutil.copy(path, folder)


def train_into(folder, options, file="tokenizer.model", config=None):
    (folder / file).write_bytes(train(**options))
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))


def sources():
    """Names, and what puts the files of a tokenizer into a folder."""
    for path in sorted((ROOT / "tests" / "golden" / "tokenizers").glob("*/expected.json")):
        yield path.parent.name, lambda folder, source=path.parent: copy_files(source, folder)
    for path in sorted(OUT.glob("*/tokenizer.model")):
        yield f"sentencepiece {path.parent.name}", lambda folder, model=path: shutil.copy(model, folder)
    # llama.cpp normalises nothing that begins as a user-defined symbol does, not even characters that share its first byte.
    sets = {name: SETS[name] for name in ("nmt_nfkc", "nfkc", "nfkc_cf", "identity")}
    sets["user_defined"] = {"normalization_rule_name": "nmt_nfkc_cf", "user_defined_symbols": ["<sep>", "[x]"]}
    for name, options in sets.items():
        yield f"sentencepiece {name}", lambda folder, options=options: train_into(folder, options)
    plain = OUT / "bpe_bytes" / "tokenizer.model"
    yield "sentencepiece bpe_bytes_unused", lambda folder: (folder / plain.name).write_bytes(with_unused(plain.read_bytes(), lambda i: i % 7 == 0))
    t5 = {"tokenizer_class": "T5Tokenizer"}
    yield "class t5 nmt_nfkc", lambda folder: train_into(folder, SETS["nmt_nfkc"], "spiece.model", t5)
    for name in FOLDERS:
        yield f"class {name}", lambda folder, name=name: make_folder(folder, name)


def check_file(path):
    """Every row has a token and a type, and no token is there twice."""
    fields = {key: field.contents() for key, field in GGUFReader(path).fields.items()}
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    scores = fields.get("tokenizer.ggml.scores", tokens)
    return ROWS == len(tokens) == len(types) == len(scores) == len(set(tokens))


def compare(library, name, model, exported, texts):
    with ThreadPoolExecutor() as pool:
        peer = pool.submit(peer_results, exported, texts, True)
        ours, folder = library.results(exported, texts, True), library.results(model, texts, True)
        theirs = peer.result()[1]
    rare = RARE.get(name, never)
    other = [i for i in range(len(texts)) if ours[i][0] != theirs[i][0]]
    common = [i for i in range(len(texts)) if not rare(texts[i])]
    wrong = [i for i in common if ours[i][0] != folder[i][0]]
    excused = sum(ours[i][0] != folder[i][0] for i in set(range(len(texts))) - set(common))
    print(f"{name:28} {len(texts):7} {len(other):9} {len(wrong):7} {excused:6} of {len(texts) - len(common)}", flush=True)
    for i in (other or wrong)[:1]:
        print(f"{ascii(texts[i])}\n  folder     {folder[i][0]}\n  lorac      {ours[i][0]}\n  llama.cpp  {theirs[i][0]}")
    return not other and not wrong


def check(library, name, put, texts):
    with tempfile.TemporaryDirectory() as folder:
        model, exported = Path(folder) / "model", Path(folder) / "model.gguf"
        model.mkdir()
        put(model)
        make_model(model)
        done = attempt("export", "-m", model, "--to", "gguf", "-o", exported)
        if name in REFUSED or done.returncode:
            good = name in REFUSED and done.returncode == 3 and REFUSED[name] in done.stderr
            print(f"{name:28} refused: {REFUSED.get(name)}" if good else f"FAIL {name}: exit code {done.returncode}: {done.stderr}", flush=True)
            return good
        if not check_file(exported):
            print(f"FAIL {name}: the file's tokens are not complete")
            return False
        return compare(library, name, model, exported, texts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--strings", type=int, default=5000)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if not PEER.exists():
        print(f"SKIPPED: {PEER} is not there; tools/make_llama_cpp.sh builds it")
        sys.exit(SKIPPED)
    library, texts = Library(), random_texts(arguments.strings, 3)
    print(f"{'tokenizer':28} {'strings':>7} {'llama.cpp':>9} {'folder':>7} {'of rare texts':>16}")
    chosen = [(name, put) for name, put in sources() if not arguments.names or name in arguments.names]
    results = [check(library, name, put, texts) for name, put in chosen]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
