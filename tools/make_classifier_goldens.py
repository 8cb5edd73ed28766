#!/usr/bin/env python3
"""Writes tests/golden/classifiers: tiny random classifiers, and the logits, losses and adapters that transformers and
PEFT compute for them.

    python3 tools/make_classifier_goldens.py [FOLDER]

Needs tools/peers-requirements.txt and the causal models that tools/make_goldens.py has written. What lies where is told
in tests/golden/README.md. Seeds are fixed; another machine may give other last digits.
"""

import copy
import json
import sys
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, GPT2Config, GPT2ForSequenceClassification
from transformers import LlamaConfig, LlamaForSequenceClassification

from make_goldens import save_adapter, with_large_weights, write_json

PAD = 3
# Padding at the end, in the middle, at the start, everywhere; a single token.
TEXTS = [[5, 61, 17, 42, 69, 1], [5, 61, 17, 42, PAD, PAD], [PAD, PAD, 5, PAD, 61, 17], [PAD] * 4, [33], [9, PAD]]
NAMES = ["no", "perhaps", "yes"]


def new_llama():
    settings = dict(vocab_size=70, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4)
    settings.update(num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, pad_token_id=PAD)
    settings.update(id2label=dict(enumerate(NAMES)), label2id={name: i for i, name in enumerate(NAMES)})
    torch.manual_seed(60)
    return with_large_weights(LlamaForSequenceClassification(LlamaConfig(**settings)).eval())


def new_gpt2():
    settings = dict(vocab_size=70, n_embd=16, n_inner=32, n_layer=2, n_head=4, n_positions=32)
    settings.update({name: 0.0 for name in ["embd_pdrop", "attn_pdrop", "resid_pdrop"]})
    torch.manual_seed(61)
    return with_large_weights(GPT2ForSequenceClassification(GPT2Config(**settings)).eval())


def logits_of(model):
    """A text at a time, so that only the padding in the texts counts."""
    with torch.no_grad():
        return torch.cat([model(input_ids=torch.tensor([ids])).logits for ids in TEXTS]).float().contiguous()


def write_expected(folder, model, **more):
    write_json(folder / "expected.json", {"texts": TEXTS, **more})
    save_file({"logits": logits_of(model)}, folder / "expected.safetensors")


def new_adapter(base, seed, zero_b=False, **settings):
    """With a head that differs from the base's."""
    torch.manual_seed(seed)
    model = get_peft_model(copy.deepcopy(base), LoraConfig(task_type="SEQ_CLS", **settings))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name and not zero_b:
                p.normal_(0.0, 0.1)
            if "modules_to_save" in name:
                p.normal_(0.0, 0.3)
    return model.eval()


def trainable_line(model):
    trainable, every = model.get_nb_trainable_parameters()
    return f"trainable params: {trainable:,d} || all params: {every:,d} || trainable%: {100 * trainable / every:.4f}"


def make_adapter(folder, base, name, seed, **settings):
    model = new_adapter(base, seed, **settings)
    save_adapter(model, folder, name)
    write_expected(folder, model, trainable_line=trainable_line(model))


def make_rows(count, seed, labels):
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(count):
        length = int(torch.randint(2, 14, (1,), generator=generator))
        ids = torch.randint(0, 70, (length,), generator=generator).tolist()
        if i % 5 == 2:
            ids += [PAD] * 3
        rows.append({"input_ids": ids, "label": i % labels})
    return rows


def loss_of(model, rows):
    def one(row):
        return model(input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row["label"]])).loss

    return torch.stack([one(row) for row in rows]).mean()


def make_training(folder, adapter, rows, name):
    """20 steps of AdamW, 3 rows each, in order and again from the start; the loss is the mean over the rows."""
    settings = dict(model=name, steps=20, batch_size=3, grad_accumulation_steps=1, learning_rate=0.01)
    settings.update(lr_schedule="linear", warmup_steps=4, weight_decay=0.01, max_grad_norm=1.0)
    save_adapter(adapter, folder / "initial", name)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = adapter.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings["learning_rate"], weight_decay=settings["weight_decay"])
    schedule = transformers.get_scheduler("linear", optimizer, settings["warmup_steps"], settings["steps"])
    metrics = {"loss": [], "grad_norm": [], "learning_rate": []}
    for step in range(settings["steps"]):
        loss = loss_of(model, [rows[(step * 3 + i) % len(rows)] for i in range(3)])
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, settings["max_grad_norm"])
        for key, value in zip(metrics, [loss.item(), norm.item(), schedule.get_last_lr()[0]]):
            metrics[key].append(value)
        optimizer.step()
        schedule.step()
    final = {key: value.contiguous() for key, value in get_peft_model_state_dict(model).items()}
    save_file(final, folder / "final.safetensors")
    print(f"{folder.name}: loss {metrics['loss'][0]:.4f} -> {metrics['loss'][-1]:.4f}")
    write_json(folder / "expected.json", {"settings": settings, **metrics})


def main():
    golden = Path(__file__).resolve().parent.parent / "tests" / "golden"
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else golden / "classifiers"
    models = {"llama": new_llama(), "gpt2": new_gpt2()}
    for name, model in models.items():
        model.save_pretrained(root / "models" / name)
        write_expected(root / "models" / name, model)
    all_linear = dict(r=4, lora_alpha=16, target_modules="all-linear")
    for seed, (name, base) in enumerate(models.items()):
        make_adapter(root / "adapters" / name, base, name, 62 + seed, **all_linear)
        labels = base.config.num_labels
        adapter = new_adapter(base, 64 + seed, zero_b=True, **all_linear)
        make_training(root / "training" / name, adapter, make_rows(24, 7 + seed, labels), name)
    for seed, name in enumerate(["llama", "gpt2"]):  # a new head on a causal model
        base = AutoModelForSequenceClassification.from_pretrained(golden / "models" / name, num_labels=3).eval()
        make_adapter(root / "adapters" / f"{name}-new-head", base, name, 66 + seed, r=4, lora_alpha=8)


if __name__ == "__main__":
    main()
