#!/usr/bin/env python3
"""Makes examples/tiny-llama: a Llama model of under 2 MB with tokenizer and chat template, for tests and for the
demo without a network.

    python3 tools/make_tiny_model.py [FOLDER]

Needs tools/peers-requirements.txt. Takes about four minutes; the seed is fixed, but other CPUs and thread
counts round differently, so a new run gives an equally good model and not the same bytes.

The model learns from text written by the functions below: small household scenes, records, and conversations in which
requests are answered in a plain English sentence. It can therefore speak about rooms, devices, numbers and names, and it
does not know the task of examples/requests (the patterns of the valid and test rows do not occur in its text).
Fine-tuning has something to teach, and something to build on.
"""

import json
import sys
import time
from pathlib import Path
from random import Random

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from make_example_data import DEVICES, INTENTS, NAMES, ROOMS, level_of, pick

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
VOCABULARY = 1024
BATCH, STEPS, LEARNING_RATE = 48, 800, 3e-3


def chat(*turns):
    roles = ["user", "assistant"]
    return "".join(f"<|im_start|>{roles[i % 2]}\n{text}<|im_end|>\n" for i, text in enumerate(turns))


def thing(random):
    """A device and a room: their one name, and a word that people use."""
    device, room = pick(random, list(DEVICES)), pick(random, list(ROOMS))
    return device, pick(random, DEVICES[device]), room, pick(random, ROOMS[room])


def write_request(random):
    """A request in the wordings of the training rows, answered in English."""
    intent = pick(random, list(INTENTS))
    device, spoken, room, place = thing(random)
    value, unit = 5 + int(random.random() * 90), " percent"
    if intent == "set":
        value, unit = level_of(device, random)
    if intent == "repair":
        value = pick(random, NAMES)
    text = pick(random, INTENTS[intent][2]).format(D=spoken, R=place, V=value, U=unit)
    room = room.replace("_", " ")
    answer = {
        "on": f"I turn on the {device} in the {room}.",
        "off": f"I turn off the {device} in the {room}.",
        "set": f"I set the {device} in the {room} to {value}.",
        "timer": f"I run the {device} in the {room} for {value} minutes.",
        "repair": f"Thank you, {value}. I send somebody to repair the {device} in the {room}.",
    }[intent]
    return chat(text[0].upper() + text[1:], answer)


def write_small_talk(random):
    name, other = pick(random, NAMES), pick(random, NAMES)
    number = 1 + int(random.random() * 250)
    _, spoken, _, place = thing(random)
    return pick(
        random,
        [
            chat(f"Hello, my name is {name}.", f"Hello {name}! What can I do for you?"),
            chat("Good morning.", "Good morning! What can I do for you?", "Nothing, thanks.", "Have a good day."),
            chat(f"Say {number}.", f"{number}"),
            chat(f"Say {name}.", name),
            chat(f"Say {spoken}, {place} and {number}.", f"{spoken}, {place} and {number}"),
            chat(f"Who lives here?", f"{name} and {other} live here."),
            chat(f"{name} lives here. Who lives here?", f"{name} lives here."),
            chat(f"The {spoken} is in the {place}. Where is the {spoken}?", f"The {spoken} is in the {place}."),
            chat(f"What do you call the {place}?", f"I call it the {place}."),
        ],
    )


def write_scene(random):
    name, other = pick(random, NAMES), pick(random, NAMES)
    _, spoken, _, place = thing(random)
    _, second, _, elsewhere = thing(random)
    number = 2 + int(random.random() * 90)
    sentences = [
        f"{name} lives in a house with a {place} and a {elsewhere}.",
        f"The {spoken} in the {place} was on for {number} minutes.",
        f"{name} asked {other} to turn off the {spoken}.",
        f"In the {place} there is a {spoken}, and in the {elsewhere} there is a {second}.",
        f"{other} came home and went to the {elsewhere}.",
        f"It was cold, so {name} set the heater to {number} degrees.",
        f"The {second} did not work, and {other} called for a repair.",
        f"{name} waited for {number} minutes in the {place}.",
    ]
    return " ".join(pick(random, sentences) for _ in range(3)) + "<|endoftext|>"


def write_record(random):
    """JSON, but another one than the task asks for. It makes the words of JSON known: a token that never occurred has no
    useful embedding, and an adapter on the linear layers cannot give it one."""
    device, spoken, room, place = thing(random)
    name, number = pick(random, NAMES), 1 + int(random.random() * 250)
    state = pick(random, ["on", "off"])
    sentence, record = pick(
        random,
        [
            (f"The {spoken} in the {place} belongs to {name}.", {"owner": name, "device": device, "room": room}),
            (f"There is a {spoken} in the {place}.", {"room": room, "device": device}),
            (f"{name} has {number} points.", {"name": name, "value": number}),
            (f"The {place} has no {spoken}.", {"room": room, "value": None}),
            (f"The {spoken} in the {place} is {state}.", {"device": device, "state": state, "room": room}),
            (f"{name} repaired the {spoken} in {number} minutes.", {"work": "repair", "device": device, "who": name}),
            (f"The timer of the {spoken} says {number}.", {"work": "timer", "device": device, "value": number}),
            (f"{name} set the {spoken} to {number}.", {"work": "set", "value": number, "who": name}),
            (f"The intent of {name} was good.", {"who": name, "intent": "good"}),
        ],
    )
    return sentence + "\n" + json.dumps(record, separators=(",", ":")) + "<|endoftext|>"


def write_text(random, count):
    """Mostly requests: (share, writer)."""
    writers = [(0.5, write_request), (0.75, write_record), (0.85, write_scene), (1.0, write_small_talk)]
    for _ in range(count):
        choice = random.random()
        yield next(writer for share, writer in writers if choice < share)(random)


def make_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in SPECIAL],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=512
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model():
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=320,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=SPECIAL.index("<|im_end|>"),
            pad_token_id=SPECIAL.index("<|endoftext|>"),
        )
    )


def train(model, tokenizer, random):
    """Plain AdamW, every text a row of its own: a model this small learns to copy from its own text only when
    there is no other."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.1, betas=(0.9, 0.95))
    warmup = 50
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min((k + 1) / warmup, max(0.02, (STEPS - k) / (STEPS - warmup)))
    )
    model.train()
    for step in range(STEPS):
        texts = list(write_text(random, BATCH))
        batch = tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        loss = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 50 == 49:
            minutes = time.process_time() / 60
            print(f"step {step + 1}/{STEPS}: loss {loss.item():.3f}, {minutes:.1f} minutes of CPU", flush=True)
    model.eval()


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "examples" / "tiny-llama")
    torch.manual_seed(1)
    random = Random("tiny-llama")
    tokenizer = make_tokenizer(list(write_text(random, 20000)))

    model = make_model()
    print(f"{sum(p.numel() for p in model.parameters())} parameters")
    train(model, tokenizer, random)
    model = model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(eos_token_id=[0, 2], pad_token_id=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    messages = [{"role": "user", "content": "Set the kitchen oven to 180 degrees."}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    print(tokenizer.decode(model.generate(ids, max_new_tokens=30, do_sample=False)[0]))
    print(f"{sum(f.stat().st_size for f in folder.iterdir())} bytes in {folder}")


if __name__ == "__main__":
    main()
