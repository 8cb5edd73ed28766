#!/usr/bin/env python3
"""Writes tests/golden: tiny random models, and the logits, losses and adapters that transformers and PEFT
compute for them.

    python3 tools/make_goldens.py [FOLDER]

Needs tools/peers-requirements.txt; everything runs in f32 on the CPU. What lies where, and how to compare with
it, is told in tests/golden/README.md. Seeds are fixed; another machine may give other last digits.
"""

import copy
import json
import math
import shutil
import sys
from pathlib import Path

import numpy
import torch
import transformers
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.pytorch_utils import Conv1D

import gguf

IDS = [5, 61, 17, 17, 3, 42, 69, 0, 28, 33, 9, 54]
ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Smaller than the sequence is long, so that llama3 scaling changes something.
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3["original_max_position_embeddings"] = 16


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def new_model(seed, **changes):
    """A Llama with weights large enough that every part of it moves the logits."""
    settings = dict(
        vocab_size=70,
        hidden_size=24,
        intermediate_size=44,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=None,
    )
    settings.update(changes)
    torch.manual_seed(seed)
    return with_large_weights(LlamaForCausalLM(LlamaConfig(**settings)).eval())


def new_gpt2(seed, **changes):
    settings = dict(
        vocab_size=70,
        n_embd=32,
        n_inner=64,
        n_layer=2,
        n_head=4,
        n_positions=32,
        bos_token_id=1,
        eos_token_id=2,
    )
    settings.update({name: 0.0 for name in ["embd_pdrop", "attn_pdrop", "resid_pdrop"]})
    settings.update(changes)
    torch.manual_seed(seed)
    return with_large_weights(GPT2LMHeadModel(GPT2Config(**settings)).eval())


def conv1d_weights(model):
    """Names of the weights that are stored as [in, out]."""
    return {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, Conv1D)}


def with_large_weights(model):
    turned = conv1d_weights(model)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 2:
                p.normal_(0.0, 1.0 / math.sqrt(p.shape[0 if name in turned else 1]))
            elif name.endswith("bias"):
                p.normal_(0.0, 0.3)
            else:
                p.uniform_(0.5, 1.5)
    return model


def logits_of(model, ids=IDS):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].float().contiguous()


def write_expected(folder, model, **more):
    write_json(folder / "expected.json", {"ids": IDS, **more})
    save_file({"logits": logits_of(model)}, folder / "expected.safetensors")


def write_old_config(folder, model):
    """config.json as the Hub has it from before transformers 5."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    if rope["rope_type"] == "linear":  # the oldest spelling
        config["rope_scaling"] = {"type": "linear", "factor": rope["factor"]}
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.44.0"
    write_json(folder / "config.json", config)
    again = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    assert torch.equal(logits_of(again), logits_of(model)), "the old keys mean something else"


def make_models(root):
    def save(name, model, **options):
        model.save_pretrained(root / name, **options)
        (root / name / "generation_config.json").unlink(missing_ok=True)
        write_expected(root / name, model)

    def rope(**parameters):
        return {"rope_theta": 10000.0, **parameters}

    save("llama", new_model(1))
    save("llama-tied-bias", new_model(2, tie_word_embeddings=True, attention_bias=True, mlp_bias=True))
    save("llama-head-dim", new_model(3, head_dim=10, intermediate_size=36, num_key_value_heads=1))

    model = new_model(4, rope_parameters=rope(rope_type="linear", factor=2.5), max_position_embeddings=160)
    save("llama-rope-linear", model)
    shutil.copytree(root / "llama-rope-linear", root / "llama-rope-linear-old")
    write_old_config(root / "llama-rope-linear-old", model)

    model = new_model(5, rope_parameters=rope(**LLAMA3), num_attention_heads=2, num_key_value_heads=1)
    save("llama-rope-llama3", model)
    shutil.copytree(root / "llama-rope-llama3", root / "llama-rope-llama3-old")
    write_old_config(root / "llama-rope-llama3-old", model)

    for name, dtype in [("bf16", torch.bfloat16), ("f16", torch.float16)]:
        model = new_model(6).to(dtype)
        model.save_pretrained(root / f"llama-{name}")
        (root / f"llama-{name}" / "generation_config.json").unlink(missing_ok=True)
        # These weights, computed in f32. Opened again, because .to(dtype) has rounded the rotary frequencies as well.
        stored = LlamaForCausalLM.from_pretrained(root / f"llama-{name}", dtype=torch.float32)
        write_expected(root / f"llama-{name}", stored.eval())

    save("llama-sharded", new_model(7, num_hidden_layers=2), max_shard_size="20KB")
    assert (root / "llama-sharded" / "model.safetensors.index.json").exists()

    save("gpt2", new_gpt2(9))
    settings = dict(n_embd=16, n_inner=None, n_head=2, scale_attn_by_inverse_layer_idx=True, scale_attn_weights=False)
    model = new_gpt2(10, **settings, activation_function="gelu", tie_word_embeddings=False)
    save("gpt2-bare", model)
    write_bare_gpt2(root / "gpt2-bare", model)


def write_bare_gpt2(folder, model):
    """Names without their prefix, masks among the weights, and config.json as the Hub has GPT-2's."""
    config = json.loads((folder / "config.json").read_text())
    for name in ["dtype", "transformers_version"]:
        config.pop(name)
    config["n_ctx"] = config["n_positions"]
    write_json(folder / "config.json", config)
    tensors = {name.removeprefix("transformer."): p.detach() for name, p in model.named_parameters()}
    for layer in range(config["n_layer"]):
        tensors[f"h.{layer}.attn.bias"] = torch.ones(8, 8).tril().reshape(1, 1, 8, 8)
        tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    again = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    assert torch.equal(logits_of(again), logits_of(model)), "the bare names mean something else"


ADAPTERS = {
    "qv": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "all-linear": dict(r=4, lora_alpha=16, target_modules="all-linear"),
    "patterns": dict(
        r=4,
        lora_alpha=8,
        target_modules=ALL_LINEAR,
        rank_pattern={"k_proj": 2, "layers.1.mlp.up_proj": 6},
        alpha_pattern={"^model.layers.0.self_attn.q_proj": 3, "down_proj": 5},
    ),
    "rslora": dict(r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "o_proj", "down_proj"]),
    "regex-layer1": dict(r=3, lora_alpha=8, target_modules=r".*\.(q_proj|gate_proj)", layers_to_transform=None),
    "layers": dict(r=3, lora_alpha=8, target_modules=["v_proj", "up_proj"], layers_to_transform=[1]),
    "head": dict(r=2, lora_alpha=8, target_modules=["q_proj", "lm_head"]),
    "gpt2-default": dict(model="gpt2", r=4, lora_alpha=8),
    "gpt2-all-linear": dict(model="gpt2", r=4, lora_alpha=16, target_modules="all-linear"),
    "gpt2-patterns": dict(
        model="gpt2",
        r=4,
        lora_alpha=8,
        use_rslora=True,
        target_modules=["c_proj", "h.1.mlp.c_fc"],
        rank_pattern={"attn.c_proj": 2},
    ),
}


def new_adapter(base, seed, zero_b=False, **settings):
    torch.manual_seed(seed)
    model = get_peft_model(copy.deepcopy(base), LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name and not zero_b:
                p.normal_(0.0, 0.1)
    return model.eval()


def save_adapter(model, folder, base="llama"):
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # a set in PEFT, in any order
    write_json(folder / "adapter_config.json", config)


def make_adapters(root, models):
    for seed, (name, settings) in enumerate(ADAPTERS.items()):
        base = settings.get("model", "llama")
        settings = {key: value for key, value in settings.items() if key != "model"}
        model = AutoModelForCausalLM.from_pretrained(models / base).eval()
        model = new_adapter(model, 20 + seed, **settings)
        save_adapter(model, root / name, base)
        line = "trainable params: {:,d} || all params: {:,d} || trainable%: {:.4f}"
        trainable, every = model.get_nb_trainable_parameters()
        write_expected(root / name, model, trainable_line=line.format(trainable, every, 100 * trainable / every))


def make_rows(count, seed):
    """Rows of many lengths; some prompts, some gaps, and one row whose only label is its last token."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(count):
        length = int(torch.randint(3, 16, (1,), generator=generator))
        ids = torch.randint(0, 70, (length,), generator=generator).tolist()
        labels = list(ids)
        if i % 3 == 1:
            labels[: length // 2] = [-100] * (length // 2)
        if i % 4 == 2:
            labels[length // 3] = -100
        if i % 7 == 5:
            labels[:-1] = [-100] * (length - 1)
        rows.append({"input_ids": ids, "labels": labels})
    return rows


def batch_of(rows):
    width = max(len(r["input_ids"]) for r in rows)

    def padded(key, value):
        return torch.tensor([r[key] + [value] * (width - len(r[key])) for r in rows])

    mask = torch.tensor([[1] * len(r["input_ids"]) + [0] * (width - len(r["input_ids"])) for r in rows])
    return dict(input_ids=padded("input_ids", 0), labels=padded("labels", -100), attention_mask=mask)


def make_training(folder, base, adapter, rows, settings):
    """20 steps of AdamW over the rows in order, again and again. One step's batch is batch_size * accumulation rows,
    and its loss is the mean over all their labelled tokens."""
    initial = {k: v.clone() for k, v in get_peft_model_state_dict(adapter).items()}
    save_adapter(adapter, folder / "initial", settings["model"])
    with open(folder / "rows.jsonl", "w") as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")
    model = adapter.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings["learning_rate"], weight_decay=settings["weight_decay"])
    maker = transformers.get_scheduler
    schedule = maker(settings["lr_schedule"], optimizer, settings["warmup_steps"], settings["steps"])
    size = settings["batch_size"] * settings["grad_accumulation_steps"]
    metrics = {"loss": [], "grad_norm": [], "learning_rate": []}
    for step in range(settings["steps"]):
        batch = batch_of([rows[(step * size + i) % len(rows)] for i in range(size)])
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, settings["max_grad_norm"])
        for key, value in zip(metrics, [loss.item(), norm.item(), schedule.get_last_lr()[0]]):
            metrics[key].append(value)
        optimizer.step()
        schedule.step()
    final = get_peft_model_state_dict(model)
    save_file({k: v.contiguous() for k, v in final.items()}, folder / "final.safetensors")
    moved = max((final[k] - initial[k]).abs().max().item() for k in final)
    assert any(n > settings["max_grad_norm"] for n in metrics["grad_norm"]), "clipping is not covered"
    print(f"{folder.name}: loss {metrics['loss'][0]:.4f} -> {metrics['loss'][-1]:.4f}, moved by {moved:.3f}")
    write_json(folder / "expected.json", {"settings": settings, **metrics})


def make_trainings(root, models):
    settings = dict(steps=20, batch_size=3, grad_accumulation_steps=1, learning_rate=0.01, lr_schedule="linear")
    settings.update(warmup_steps=4, weight_decay=0.01, max_grad_norm=1.0)
    base = LlamaForCausalLM.from_pretrained(models / "llama")
    adapter = new_adapter(base, 40, zero_b=True, r=4, lora_alpha=16, target_modules="all-linear")
    make_training(root / "all-linear", base, adapter, make_rows(24, 1), {**settings, "model": "llama"})

    base = LlamaForCausalLM.from_pretrained(models / "llama-tied-bias")
    adapter = new_adapter(base, 41, r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "v_proj"])
    changes = dict(model="llama-tied-bias", batch_size=2, grad_accumulation_steps=2, lr_schedule="cosine")
    make_training(root / "qv-rslora", base, adapter, make_rows(20, 2), {**settings, **changes})

    base = LlamaForCausalLM.from_pretrained(models / "llama-rope-llama3")
    adapter = new_adapter(base, 42, **{**ADAPTERS["patterns"], "alpha_pattern": {"down_proj": 5}})
    changes = dict(model="llama-rope-llama3", lr_schedule="constant", warmup_steps=0)
    make_training(root / "patterns", base, adapter, make_rows(18, 3), {**settings, **changes})

    base = GPT2LMHeadModel.from_pretrained(models / "gpt2")
    adapter = new_adapter(base, 43, r=4, lora_alpha=16)
    make_training(root / "gpt2-default", base, adapter, make_rows(18, 4), {**settings, "model": "gpt2"})
    adapter = new_adapter(base, 44, zero_b=True, r=4, lora_alpha=16, target_modules="all-linear")
    make_training(root / "gpt2-all-linear", base, adapter, make_rows(24, 5), {**settings, "model": "gpt2"})


GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
    "ln_1": "attn_norm",
    "ln_2": "ffn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def gguf_name(name):
    stem, kind = name.rsplit(".", 1)
    if stem.startswith(("model.layers.", "transformer.h.")):
        _, _, layer, rest = stem.split(".", 3)
        return f"blk.{layer}.{GGUF_NAMES[rest]}.{kind}"
    return f"{GGUF_NAMES[stem]}.{kind}"


def permute(rows, heads):
    """llama.cpp rotates pairs (2i, 2i+1) where transformers rotates (i, i + d/2): the rows of q and k are reordered."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def unpermute(rows, heads):
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def heads_of(name, config):
    if ".q_proj." in name:
        return config.num_attention_heads
    return config.num_key_value_heads if ".k_proj." in name else 0


def llama3_divisors(config):
    """The tensor rope_freqs: what each frequency is divided by."""
    rope = config.rope_parameters
    dim = config.hidden_size // config.num_attention_heads
    wavelength = 2 * math.pi * rope["rope_theta"] ** (numpy.arange(0, dim, 2) / dim)
    low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    smooth = (rope["original_max_position_embeddings"] / wavelength - rope["low_freq_factor"]) / (
        rope["high_freq_factor"] - rope["low_freq_factor"]
    )
    between = 1 / ((1 - smooth) / rope["factor"] + smooth)
    divisors = numpy.where(wavelength < high, 1.0, numpy.where(wavelength > low, rope["factor"], between))
    return divisors.astype("float32")


def write_gguf(path, model, kind):
    """Writes `model` with its matrices as `kind`, and gives `model` the weights that the file then holds."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    if config.rope_parameters["rope_type"] == "llama3":
        divisors = llama3_divisors(config)
        dim = config.hidden_size // config.num_attention_heads
        plain = config.rope_parameters["rope_theta"] ** (-numpy.arange(0, dim, 2) / dim)
        assert numpy.allclose(model.model.rotary_emb.inv_freq.numpy(), plain / divisors, rtol=1e-5)
        assert divisors.max() > 1, "the scaling changes nothing"
        writer.add_tensor("rope_freqs.weight", divisors)
    add_tensors(writer, model, kind)


def write_gpt2_gguf(path, model, kind):
    config = model.config
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.n_inner)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    add_tensors(writer, model, kind)


def add_tensors(writer, model, kind):
    turned = conv1d_weights(model)
    with torch.no_grad():
        for name, p in model.named_parameters():
            values, heads = p.numpy(), heads_of(name, model.config)
            if heads:
                values = permute(values, heads)
            values = numpy.ascontiguousarray(values.T if name in turned else values)
            if p.dim() == 1 or name.endswith("wpe.weight"):
                writer.add_tensor(gguf_name(name), values)
                continue
            packed = gguf.quants.quantize(values, kind)
            writer.add_tensor(gguf_name(name), packed, raw_dtype=kind)
            values = gguf.quants.dequantize(packed, kind).reshape(values.shape)
            values = values.T if name in turned else unpermute(values, heads) if heads else values
            p.copy_(torch.from_numpy(numpy.array(values)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_gguf(root, models):
    root.mkdir(parents=True, exist_ok=True)

    def save(name, model, kind):
        write = write_gpt2_gguf if model.config.model_type == "gpt2" else write_gguf
        write(root / f"{name}.gguf", model, kind)
        save_file({"logits": logits_of(model)}, root / f"{name}.expected.safetensors")

    types = gguf.GGMLQuantizationType
    for kind in [types.F32, types.F16, types.BF16, types.Q8_0, types.Q4_0, types.Q4_1, types.Q5_0, types.Q5_1]:
        settings = dict(vocab_size=70, hidden_size=32, intermediate_size=64)
        save(f"llama-{kind.name}", new_model(8, **settings), kind)
    for name in ["llama-tied-bias", "llama-rope-llama3"]:
        save(name, LlamaForCausalLM.from_pretrained(models / name).eval(), types.F32)
    for kind in [types.F16, types.Q8_0]:
        save(f"gpt2-{kind.name}", GPT2LMHeadModel.from_pretrained(models / "gpt2").eval(), kind)
    write_json(root / "expected.json", {"ids": IDS})


def main():
    transformers.utils.logging.disable_progress_bar()
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "tests" / "golden")
    for part in ["models", "adapters", "training", "gguf"]:
        shutil.rmtree(root / part, ignore_errors=True)
    make_models(root / "models")
    make_adapters(root / "adapters", root / "models")
    make_trainings(root / "training", root / "models")
    make_gguf(root / "gguf", root / "models")
    for file in root.rglob("*.safetensors"):
        file.chmod(0o644)
    print(f"{sum(f.stat().st_size for f in root.rglob('*') if f.is_file())} bytes in {root}")


if __name__ == "__main__":
    main()
