#!/usr/bin/env python3
"""PEFT's print_trainable_parameters and `lorac inspect MODEL --peft-config`: the same two counts for families that lorac runs
and for others, which it knows by their shapes alone."""

import contextlib
import io
import itertools
import json
import sys
import tempfile
import warnings
from pathlib import Path

import transformers
from peft import LoraConfig, get_peft_model

from peer import lorac

SMALL = dict(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=20)

MODELS = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", dict(**SMALL, attention_bias=True)),
    "llama, tied": ("LlamaForCausalLM", "LlamaConfig", dict(**SMALL, tie_word_embeddings=True)),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", dict(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=20)),
    "opt": (
        "OPTForCausalLM",
        "OPTConfig",
        dict(vocab_size=50, hidden_size=16, word_embed_proj_dim=8, num_hidden_layers=2, ffn_dim=24, num_attention_heads=2, max_position_embeddings=20),
    ),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", SMALL),
    "mistral": ("MistralForCausalLM", "MistralConfig", dict(**SMALL, num_key_value_heads=1)),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", dict(**SMALL, num_key_value_heads=1)),
    "qwen2, tied": ("Qwen2ForCausalLM", "Qwen2Config", dict(**SMALL, num_key_value_heads=1, tie_word_embeddings=True)),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", dict(**SMALL, num_key_value_heads=1, head_dim=8)),
    "phi": ("PhiForCausalLM", "PhiConfig", SMALL),
    "bloom": ("BloomForCausalLM", "BloomConfig", dict(vocab_size=50, hidden_size=16, n_layer=2, n_head=2)),
    "bert": ("BertForMaskedLM", "BertConfig", SMALL),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", SMALL),
    "t5": ("T5ForConditionalGeneration", "T5Config", dict(vocab_size=50, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)),
}

ANY_LINEAR = r".*(q_proj|query|query_key_value|c_attn|\.q)"
ANY_EMBEDDING = r".*(embed_tokens|wte|embed_in|word_embeddings|shared)"
NORMS = ["norm", "layernorm", "layer_norm", "LayerNorm", "ln_1", "ln_f"]

CONFIGS = {
    "PEFT's own targets": dict(),
    "all-linear": dict(r=3, target_modules="all-linear"),
    "linears": dict(r=4, target_modules=ANY_LINEAR),
    "embeddings": dict(r=4, target_modules=f"{ANY_LINEAR}|{ANY_EMBEDDING}"),
    "the head": dict(r=2, target_modules=f"{ANY_LINEAR}|lm_head|embed_out|cls.predictions.decoder"),
    "patterns": dict(r=4, target_modules="all-linear", rank_pattern={".*(q_proj|query|c_attn)": 2}),
    "one layer": dict(r=4, target_modules=["q_proj", "query", "query_key_value", "c_attn", "q"], layers_to_transform=[1]),
    "bias all": dict(r=4, target_modules=ANY_LINEAR, bias="all"),
    "bias lora_only": dict(r=4, target_modules=ANY_LINEAR, bias="lora_only"),
    "norms saved": dict(r=4, target_modules=ANY_LINEAR, modules_to_save=NORMS),
    "embeddings saved": dict(r=4, target_modules=ANY_LINEAR, modules_to_save=["embed_tokens", "wte", "embed_in", "word_embeddings", "shared"]),
    "the head saved": dict(r=4, target_modules=ANY_LINEAR, modules_to_save=["lm_head", "embed_out"]),
    "norms saved, bias all": dict(r=4, target_modules=ANY_LINEAR, modules_to_save=NORMS, bias="all"),
    "blocks saved": dict(r=4, target_modules="all-linear", modules_to_save=["mlp"]),
    "DoRA": dict(r=4, target_modules=ANY_LINEAR, use_dora=True),
    "DoRA, all-linear": dict(r=4, target_modules="all-linear", use_dora=True),
    "DoRA, embeddings": dict(r=4, target_modules=f"{ANY_LINEAR}|{ANY_EMBEDDING}", use_dora=True),
    "lora_bias": dict(r=4, target_modules=ANY_LINEAR, lora_bias=True),
    "tied adapters": dict(r=4, target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True),
    "tied copies": dict(r=4, target_modules=["q_proj"], modules_to_save=["lm_head"], ensure_weight_tying=True),
    "tokens": dict(r=4, target_modules=ANY_LINEAR, trainable_token_indices=[1, 2, 7]),
    "tokens of a named embedding": dict(r=4, target_modules=ANY_LINEAR, trainable_token_indices={"EMBEDDING": [1, 2]}),
}


def build(name):
    class_name, config_name, settings = MODELS[name]
    return getattr(transformers, class_name)(getattr(transformers, config_name)(**settings))


def settings_for(name, settings):
    """With the model's own name for EMBEDDING."""
    if settings.get("trainable_token_indices") != {"EMBEDDING": [1, 2]}:
        return settings
    embedding = {"gpt2": "wte", "gpt_neox": "embed_in", "bloom": "word_embeddings", "bert": "word_embeddings", "roberta": "word_embeddings", "t5": "shared"}
    return {**settings, "trainable_token_indices": {embedding.get(name, "embed_tokens"): [1, 2]}}


def line_of_peft(name, settings):
    """PEFT's line, or None where it refuses the settings."""
    out = io.StringIO()
    try:
        model = get_peft_model(build(name), LoraConfig(**settings))
    except (ValueError, NotImplementedError, AttributeError, RuntimeError) as error:
        return None, str(error).splitlines()[0][:100]
    with contextlib.redirect_stdout(out):
        model.print_trainable_parameters()
    return out.getvalue().strip(), None


def main():
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    only = sys.argv[1:]
    wrong = right = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            build(name).save_pretrained(Path(folder) / name)
        for name, (what, settings) in itertools.product(MODELS, CONFIGS.items()):
            if only and what not in only:
                continue
            settings = settings_for(name, settings)
            expected, reason = line_of_peft(name, settings)
            if not expected:
                refused += 1
                print(f"     {name}, {what}: PEFT itself refuses: {reason}")
                continue
            config = Path(folder) / "adapter_config.json"
            config.write_text(json.dumps({"peft_type": "LORA", **settings}))
            got = lorac("inspect", Path(folder) / name, "--peft-config", config).splitlines()[-1]
            right += got == expected
            wrong += got != expected
            if got != expected:
                print(f"FAIL {name}, {what}:\n     PEFT  {expected}\n     lorac {got}", flush=True)
    print(f"{'ok  ' if not wrong else 'FAIL'} {right} counts are PEFT's, {wrong} are not; {refused} settings PEFT refuses")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
