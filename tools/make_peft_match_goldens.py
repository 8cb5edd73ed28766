"""Writes tests/golden/peft_match.json: which modules PEFT 0.21.2 adapts under a few hundred configurations, with what rank and alpha.

    python tools/make_peft_match_goldens.py

Two kinds of cases: the file's list of names put to PEFT's own matching functions, and a tiny Llama, with a list of its own, that PEFT
really wraps. "adapted" holds name: [rank, alpha].
"""
import json
import pathlib
import random
import sys
import tempfile
import warnings

import peft
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key
from transformers import LlamaConfig, LlamaForCausalLM

PEFT_VERSION = "0.21.2"
OUT = pathlib.Path(__file__).parent.parent / "tests" / "golden" / "peft_match.json"

NAMES = [
    "q_proj", "lm_head", "foo.bar.10.baz", "foo.bar.001.baz", "bar.1.baz", "foo.bar.1.spam.2.baz", "xfoo", "x.foo", "foo",
    "blocks.1.weight", "mlp.blocks.1.weight", "model.embed_tokens",
    "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj", "model.layers.1.self_attn.q_proj",
    "model.layers.1.self_attn.v_proj", "model.layers.10.self_attn.q_proj", "model.layers.10.self_attn.qq_proj",
    "model.layers.1.mlp.down_proj", "model.layers.1.mlp.gate_proj", "model.layers.2.mlp.experts.0.down_proj",
    "model.layers.0.mlp.experts.12.down_proj", "transformer.h.3.attn.c_attn", "h.3.attn.c_attn",
    "encoder.block.0.layer.0.SelfAttention.q", "decoder.block.11.layer.1.EncDecAttention.q",
    "model.layers.1.self_attn.q_proj.foo",
]

BY_HAND = [
    dict(target_modules=["baz"], layers_to_transform=[1]),
    dict(target_modules=["baz"], layers_to_transform=1, layers_pattern="bar"),
    dict(target_modules=["baz"], layers_to_transform=[1, 10], layers_pattern=["bar"]),
    dict(target_modules=["baz"], layers_to_transform=[1], layers_pattern=["baz"]),
    dict(target_modules=["baz"], layers_to_transform=[1], layers_pattern=["spam", "bar"]),
    dict(target_modules=["baz"], layers_to_transform=[2], layers_pattern=["spam", "bar"]),
    dict(target_modules=["baz"], layers_to_transform=[]),
    dict(target_modules=["baz"], layers_to_transform=[1], layers_pattern=[]),
    dict(target_modules=["baz"], layers_to_transform=[1], layers_pattern=""),
    dict(target_modules=["weight"], layers_to_transform=1, layers_pattern="blocks"),
    dict(target_modules=["q_proj"], layers_to_transform=1, layers_pattern="layers"),
    dict(target_modules=["q_proj"], layers_to_transform=[0, 10], layers_pattern="lay.*"),
    dict(target_modules=["q_proj", "model.layers.0.self_attn.q_proj"], layers_to_transform=[1]),
    dict(target_modules=["down_proj"], layers_to_transform=[0]),
    dict(target_modules=["down_proj"], layers_to_transform=[0], layers_pattern="experts"),
    dict(target_modules=["c_attn"], layers_to_transform=[3]),
    dict(target_modules=["c_attn"], layers_to_transform=[3], layers_pattern="h"),
    dict(target_modules=["self_attn.q_proj", "foo"]),
    dict(target_modules=["proj", ".q_proj", "attn.q_proj", "q", ""]),
    dict(target_modules=["q_proj", "q_proj"], exclude_modules=["layers.1.self_attn.q_proj"]),
    dict(target_modules=["q_proj", "v_proj"], exclude_modules=["model.layers.1.self_attn.v_proj", "layers"]),
    dict(target_modules=["q_proj", "v_proj"], exclude_modules=r".*layers\.1\..*"),
    dict(target_modules=["q_proj", "v_proj"], exclude_modules=r"layers\.1"),
    dict(target_modules=["q_proj"], exclude_modules=""),
    dict(target_modules=["q_proj"], exclude_modules=[]),
]

REGEXES = [
    "q_proj", ".*q_proj", r".*\.q_proj", r"(?:.*\.)?q_proj", r".*\.(q|v)_proj", r".*layers\.(1|10)\..*_proj", r"(?i).*Q_PROJ",
    r".*(?<!k)_proj", r".*self_attn\.(?!q).*", r".*layers\.\d+\.mlp\..*", r".*[qk]_proj\Z", r".*layers\.\d{,1}\..*", r".*\.\d{2,3}\..*",
    r"(.*)\.(?P<x>q)_proj", r"model\.layers\.[^.]*\.self_attn\.\w+", r"foo|x\.foo", r"(foo|x\.foo)$", r".*\b(q|k)_proj\b.*", "ALL-LINEAR|foo",
    r"[]q].*", r"[^]q].*foo", r".*experts\.(\d)\d?\.down_proj", r".+?\.c_attn", "", r".*(.)\1_proj",
]

PATTERNS = [
    {"foo": 4}, {"q_proj": 4, "layers.1.self_attn.q_proj": 32}, {"layers.1.self_attn.q_proj": 32, "q_proj": 4},
    {"^model.layers.0.self_attn.q_proj": 16}, {"^layers.0.self_attn.q_proj": 16}, {"model.layers.1.*": 2}, {r"layers\.\d\..*q_proj": 3},
    {"q|v_proj": 5}, {r"self_attn\.[qv]_proj": 6, "k_proj": 7}, {"proj": 9}, {"model.layers.10.self_attn.q_proj": 10, ".*": 11}, {"": 12},
    {"layers.1.self_attn.q_proj$": 13}, {r"layers\.\d{,1}\.self_attn\.q_proj": 14}, {"(?:q|k)_proj": 15},
]


def name_cases():
    rng = random.Random(1)
    for regex in REGEXES:
        yield dict(target_modules=regex)
        yield dict(target_modules=[n.rsplit(".", 1)[-1] for n in NAMES], exclude_modules=regex)
    for ranks in PATTERNS:
        yield dict(target_modules=".*", r=64, rank_pattern=ranks, lora_alpha=1.5)
        yield dict(target_modules=".*", rank_pattern=rng.choice(PATTERNS), alpha_pattern={k: v / 2 for k, v in ranks.items()})
    yield from BY_HAND
    suffixes = sorted({".".join(n.split(".")[i:]) for n in NAMES for i in range(n.count(".") + 1)})
    for _ in range(120):
        config = dict(target_modules=rng.sample(suffixes, rng.randint(1, 6)), r=rng.randint(1, 99), lora_alpha=rng.randint(1, 99))
        if rng.random() < 0.5:
            config["layers_to_transform"] = rng.choice([0, 1, [0, 1], [10], [2, 3], [1, 2, 11]])
            if rng.random() < 0.6:
                config["layers_pattern"] = rng.choice(["layers", "h", "block", ["bar", "layers"], "experts", r"\w+", "blocks|layers"])
        if rng.random() < 0.4:
            config["exclude_modules"] = rng.sample(suffixes, 2)
        if rng.random() < 0.4:
            config["rank_pattern"] = rng.choice(PATTERNS)
        yield config


def ask_functions(settings):
    config = LoraConfig(**settings)
    adapted = {}
    for name in NAMES:
        if check_target_module_exists(config, name):
            rank = config.rank_pattern.get(get_pattern_key(config.rank_pattern.keys(), name), config.r)
            alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern.keys(), name), config.lora_alpha)
            adapted[name] = [rank, alpha]
    return adapted


def model_cases():
    yield dict(target_modules="all-linear")
    yield dict(target_modules="All-Linear", exclude_modules=["down_proj"], rank_pattern={"q_proj": 2}, r=4)
    yield dict(target_modules="all-linear", exclude_modules=r".*\.0\..*", alpha_pattern={"mlp.*": 3})
    yield dict(target_modules=["lm_head", "q_proj"])
    yield dict(target_modules=["q_proj", "down_proj"], layers_to_transform=[1], layers_pattern="layers", r=3)
    yield dict(target_modules=r".*\.1\..*(gate|up)_proj", lora_alpha=32)


def ask_model(settings):
    model = LlamaForCausalLM(LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2,
                                         num_key_value_heads=1, tie_word_embeddings=False))
    linears = [name for name, module in model.named_modules() if type(module).__name__ == "Linear"]
    wrapped = dict(get_peft_model(model, LoraConfig(**settings)).base_model.model.named_modules())
    layers = {name: wrapped[name] for name in linears if isinstance(wrapped[name], LoraLayer)}
    return linears, {name: [layer.r["default"], layer.lora_alpha["default"]] for name, layer in layers.items()}


def saved(settings):
    """The configuration file as PEFT writes it, less what is at its default, so that the golden stays small."""
    def read(config):
        with tempfile.TemporaryDirectory() as folder:
            config.save_pretrained(folder)
            return json.loads((pathlib.Path(folder) / "adapter_config.json").read_text())
    default, full = read(LoraConfig()), read(LoraConfig(**settings))
    for key in ("target_modules", "exclude_modules"):  # sets, which Python orders anew every time
        full[key] = sorted(full[key]) if isinstance(full[key], list) else full[key]
    for key in ("rank_pattern", "alpha_pattern"):  # PEFT sorts a saved dictionary, but its order decides: keep the one asked about
        full[key] = settings.get(key, {})
    return {key: value for key, value in full.items() if value != default[key]}


def main():
    if peft.__version__ != PEFT_VERSION:
        sys.exit(f"PEFT {PEFT_VERSION} is needed, not {peft.__version__}")
    warnings.simplefilter("ignore")
    cases = [{"config": saved(c), "adapted": ask_functions(c)} for c in name_cases()]
    for settings in model_cases():
        modules, adapted = ask_model(settings)
        cases.append({"config": saved(settings), "modules": modules, "adapted": adapted})
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    OUT.write_text(f'{{"peft_version":"{peft.__version__}","modules":{json.dumps(NAMES)},"cases":[\n{lines}\n]}}\n')
    rows = sum(len(c.get("modules", NAMES)) for c in cases)
    print(f"{len(cases)} configurations, {rows} rows, {OUT.stat().st_size} bytes")


main()
