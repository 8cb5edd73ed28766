"""Tiny random models, and adapters on them of every kind that PEFT makes: what the table of kinds, the trajectories and
the reference results of kinds are about. Everything an adapter trains is random, so that nothing is right by being
zero. Of lorac, only the names of options stand here."""

import copy
import itertools
import json
import warnings

import peft.optimizers.lorafa
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_lorafa_optimizer, create_loraplus_optimizer
from transformers import AutoModelForCausalLM

from make_goldens import batch_of, new_gpt2, new_model

# On the CPU PEFT projects gradients for LoRA-FA in bf16 under autocast; in f32, as its formula says:
peft.optimizers.lorafa.is_bf16_available = lambda: False

BASES = {
    "tied": lambda: new_model(51, tie_word_embeddings=True, vocab_size=96, hidden_size=32, intermediate_size=48),
    "untied": lambda: new_model(52, vocab_size=128, hidden_size=48, intermediate_size=64, num_hidden_layers=3),
    "biased": lambda: new_model(53, vocab_size=96, hidden_size=32, attention_bias=True, mlp_bias=True),
    "gpt2": lambda: new_gpt2(54, vocab_size=96),
}

KINDS = {
    "lora": {},
    "rslora": dict(use_rslora=True),
    "dora": dict(use_dora=True),
    "lora_bias": dict(lora_bias=True),
}

NAMES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

TARGETS = {
    "default": {},
    "all-linear": dict(target_modules="all-linear"),
    "regex": dict(target_modules=r".*\.(0|1)\.(self_attn\.[qo]_proj|mlp\.up_proj|attn\.c_proj|mlp\.c_fc)"),
    "all-linear, excluding": dict(
        target_modules="all-linear", exclude_modules=["o_proj", "layers.1.mlp.up_proj", "c_attn", "h.1.mlp.c_proj"]
    ),
    "excluding by regex": dict(target_modules=["q_proj", "down_proj"], exclude_modules=r".*layers\.0\..*_proj"),
    "layer 1": dict(target_modules=["k_proj", "down_proj", "c_proj"], layers_to_transform=1),
    "layers 0 and 1 by pattern": dict(
        target_modules=["v_proj", "gate_proj", "c_attn"], layers_to_transform=[0, 1], layers_pattern=["layers", "h"]
    ),
    "patterns": dict(
        target_modules=NAMES,
        rank_pattern={"k_proj": 2, "layers.1.mlp.up_proj": 6},
        alpha_pattern={"^model.layers.0.self_attn.q_proj": 3, "down_proj": 5},
    ),
    "c_proj, patterns": dict(
        target_modules=["c_proj", "h.1.mlp.c_fc"], rank_pattern={"attn.c_proj": 2}, alpha_pattern={"mlp.c_proj": 3}
    ),
}


def by_names(*names):
    return {", ".join(names): dict(target_modules=list(names))}


TARGETS |= by_names("embed_tokens") | by_names("embed_tokens", "q_proj") | by_names("wte") | by_names("wte", "c_attn")
TARGETS |= by_names("lm_head") | by_names("lm_head", "v_proj") | by_names("lm_head", "embed_tokens")
TARGETS |= by_names("lm_head", "c_attn")

TOKENS = [5, 17, 61]  # all of them among the ids that logits are compared for

OPTIONS = {
    "": {},
    "bias all": dict(bias="all"),
    "bias lora_only": dict(bias="lora_only"),
    "save lm_head": dict(modules_to_save=["lm_head"]),
    "save embed_tokens": dict(modules_to_save=["embed_tokens"]),
    "save norm": dict(modules_to_save=["norm"]),
    "save model.norm": dict(modules_to_save=["model.norm"]),
    "save both": dict(modules_to_save=["lm_head", "embed_tokens"]),
    "save both, norm": dict(modules_to_save=["lm_head", "embed_tokens", "norm"]),
    "save wte": dict(modules_to_save=["wte"]),
    "save ln_f": dict(modules_to_save=["ln_f"]),
    "save mlp.c_fc": dict(modules_to_save=["mlp.c_fc"]),
    "save mlp": dict(modules_to_save=["mlp"]),
    "tokens": dict(trainable_token_indices=TOKENS),
    "tokens of embed_tokens": dict(trainable_token_indices={"embed_tokens": TOKENS}),
    "tokens of both": dict(trainable_token_indices={"embed_tokens": TOKENS, "lm_head": TOKENS}),
    "different tokens": dict(trainable_token_indices={"embed_tokens": TOKENS, "lm_head": [3, 17, 90]}),
    "weights tied": dict(ensure_weight_tying=True),
    "weights tied, save embed_tokens": dict(ensure_weight_tying=True, modules_to_save=["embed_tokens"]),
    "weights tied, save lm_head": dict(ensure_weight_tying=True, modules_to_save=["lm_head"]),
    "weights tied, tokens": dict(ensure_weight_tying=True, trainable_token_indices=TOKENS),
    "bias all, save lm_head": dict(bias="all", modules_to_save=["lm_head"]),
    "bias all, tokens": dict(bias="all", trainable_token_indices=TOKENS),
}


def rows_of(bases, kinds, targets, options=("",)):
    """The product of these, each a list or a text of words."""
    words = lambda names: names.split() if isinstance(names, str) else names
    return list(itertools.product(words(bases), words(kinds), targets, options))


ROWS = [
    *rows_of("tied untied biased gpt2", "lora rslora dora", ["default", "all-linear"]),
    *rows_of("biased gpt2", "lora_bias", ["default", "all-linear"]),
    *rows_of("untied", "lora_bias", ["default"]),
    # Which modules.
    *rows_of("untied", "lora", ["regex", "all-linear, excluding", "excluding by regex", "layer 1"]),
    *rows_of("untied", "lora", ["layers 0 and 1 by pattern"]),
    *rows_of("untied biased", "lora rslora dora", ["patterns"]),
    *rows_of("biased", "lora_bias", ["patterns"]),
    *rows_of("gpt2", "lora", ["regex", "all-linear, excluding", "layer 1", "layers 0 and 1 by pattern"]),
    *rows_of("gpt2", "rslora dora", ["c_proj, patterns"]),
    # Embeddings and heads.
    *rows_of("tied untied", "lora dora", ["embed_tokens", "embed_tokens, q_proj"]),
    *rows_of("untied", "rslora", ["embed_tokens"]),
    *rows_of("gpt2", "lora dora", ["wte", "wte, c_attn"]),
    *rows_of("tied untied", "lora dora", ["lm_head", "lm_head, embed_tokens"]),
    *rows_of("untied", "lora_bias", ["lm_head, v_proj"]),
    *rows_of("gpt2", "lora dora", ["lm_head, c_attn"]),
    *rows_of("tied", "lora", ["embed_tokens", "lm_head, embed_tokens"], ["weights tied"]),
    *rows_of("gpt2", "lora", ["wte"], ["weights tied"]),
    # Biases.
    *rows_of("untied", "lora", ["default"], ["bias all", "bias lora_only"]),
    *rows_of("biased gpt2", "lora dora", ["default"], ["bias all", "bias lora_only"]),
    *rows_of("biased gpt2", "lora_bias", ["all-linear"], ["bias lora_only"]),
    # Whole modules.
    *rows_of("tied untied", "lora", ["default"], ["save lm_head", "save embed_tokens", "save both"]),
    *rows_of("untied", "lora", ["default"], ["save norm", "save model.norm"]),
    *rows_of("untied", "dora", ["all-linear"], ["save both, norm"]),
    *rows_of("gpt2", "lora", ["default"], ["save lm_head", "save wte", "save ln_f", "save mlp.c_fc"]),
    *rows_of("biased", "lora", ["default"], ["save mlp", "bias all, save lm_head"]),
    *rows_of("tied", "lora", ["default"], ["weights tied, save embed_tokens", "weights tied, save lm_head"]),
    # Single tokens.
    *rows_of("tied untied", "lora", ["default"], ["tokens", "tokens of both", "different tokens"]),
    *rows_of("untied", "dora", ["all-linear"], ["tokens of embed_tokens"]),
    *rows_of("gpt2", "lora", ["default"], ["tokens", "bias all, tokens"]),
    *rows_of("tied", "rslora", ["patterns"], ["weights tied, tokens"]),
]


def settings_of(kind, targets, option=""):
    return dict(r=4, lora_alpha=8) | KINDS[kind] | TARGETS[targets] | OPTIONS[option]


def make_base(name, folder):
    """The model as a folder; both sides read it from there."""
    model = BASES[name]()
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return folder


def open_base(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def randomise(name, p):
    if "magnitude" in name:
        p.mul_(torch.empty_like(p).uniform_(0.7, 1.3))
    else:
        p.add_(torch.randn_like(p) * 0.1)


def random_adapter(base, seed, **settings):
    """PEFT's own first adapter with every trained number moved."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(copy.deepcopy(base), LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad:
                randomise(name, p)
    return model.eval()


def save_adapter(model, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)


def open_adapter(base_folder, folder, trained=False):
    """The adapter on a fresh base, and what PEFT found to be missing in its file."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(open_base(base_folder), folder, is_trainable=trained)
    missing = [str(w.message) for w in said if "missing adapter keys" in str(w.message)]
    return model.eval(), missing


def trainable_line(model):
    trained, every = model.get_nb_trainable_parameters()
    return f"trainable params: {trained:,d} || all params: {every:,d} || trainable%: {100 * trained / every:.4f}"


def config_of(folder):
    """What PEFT makes of the file: absent keys have their default."""
    return LoraConfig().to_dict() | json.loads((folder / "adapter_config.json").read_text())


def adamw(model, _settings, rate):
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)


def loraplus(model, _settings, rate):
    options = dict(lr=rate, loraplus_lr_ratio=8.0, loraplus_weight_decay=0.01)
    return create_loraplus_optimizer(model, torch.optim.AdamW, **options)


def lorafa(model, settings, rate):
    return create_lorafa_optimizer(model, settings["r"], settings["lora_alpha"], rate, weight_decay=0.01)


# How PEFT makes it, the learning rate, lorac's options. Weight decay is 0.01 in all.
OPTIMIZERS = {
    "AdamW": (adamw, 5e-3, {}),
    "LoRA+": (loraplus, 1e-3, {"loraplus-lr-ratio": 8}),
    "LoRA-FA": (lorafa, 1e-2, {"optimizer": "lora-fa"}),
}


def join_shared_gradients(trained):
    """With ensure_weight_tying the factors of embedding and head are two parameters over the same numbers, one turned.
    PEFT updates the numbers twice, each time from one use alone; as one parameter they get the sum of the gradients."""
    first_at = {}
    for p in trained:
        first = first_at.setdefault(p.data_ptr(), p)
        if first is not p:
            first.grad += p.grad.T
            p.grad = None


def train(model, settings, rows, steps, batch, optimizer_name):
    """The losses of so many steps over the rows in order, at a constant learning rate, gradients clipped to 1."""
    make_optimizer, rate, _ = OPTIMIZERS[optimizer_name]
    model.train()
    optimizer = make_optimizer(model, settings, rate)
    trained = [p for p in model.parameters() if p.requires_grad]
    losses = []
    for step in range(steps):
        loss = model(**batch_of([rows[(step * batch + i) % len(rows)] for i in range(batch)])).loss
        optimizer.zero_grad()
        loss.backward()
        join_shared_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses
