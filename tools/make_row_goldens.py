#!/usr/bin/env python3
"""Two small tokenizers and what transformers, with TRL's masking rules, makes of rows of every form.

    make_row_goldens.py

Writes tests/golden/rows: NAME/ with tokenizer.json, tokenizer_config.json and chat_template.jinja, and expected.json: a list of
[tokenizer, row, ids, labels]. `marked` is `plain` with {% generation %} in its template; `bos` has a tokenizer that adds BOS and a
template that writes it. Versions: tools/peers-requirements.txt.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "rows"

CORPUS = ["The kettle is on: the tea is hot.\n\nHow are you? How is the weather?", "Hello there, hello you. Yes, yes: no.\n",
          "user assistant system the answer is 12, the answer is 345.\n\n\n", "é ü 😀 naïve"] * 4

PLAIN = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
MARKED = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}"
          "{{ m.content + '<|im_end|>' }}{% endgeneration %}{% else %}{{ m.content + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
BOS = ("{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[Q] ' + m.content + ' [A]' }}{% else %}"
       "{% generation %}{{ ' ' + m.content + eos_token }}{% endgeneration %}{% endif %}{% endfor %}")


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


ROWS = [
    {"text": "Hello there."},
    {"text": "Hello there.<|im_end|>"},
    {"text": ""},
    {"text": "😀 é\n\nHow <|im_start|> is"},
    {"prompt": "How are you?", "completion": " Yes, the tea"},
    {"prompt": "How are you? ", "completion": "Yes"},
    {"prompt": "the kettle:\n", "completion": "\nis on"},
    {"prompt": "the ket", "completion": "tle"},
    {"prompt": "", "completion": "Hello"},
    {"prompt": "Hello", "completion": ""},
    {"prompt": "Hello", "completion": " you.<|im_end|>"},
    {"messages": [user("How are you?"), assistant("Yes: no.")]},
    {"messages": [user("hello"), assistant("one"), user("two"), assistant("\n\nthree 😀"), user("four")]},
    {"messages": [user("hello"), assistant("")]},
    {"messages": [assistant("first"), user("then")]},
    {"prompt": [user("How are you?")], "completion": [assistant("Yes: no.")]},
    {"prompt": [user("a"), assistant("b"), user("c")], "completion": [assistant("d"), user("e"), assistant("f")]},
]


def make_tokenizer(template, bos):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=340, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, trainer)
    specials = ["<s>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>" if bos else None, eos_token="<|im_end|>",
                                   chat_template=template)


def ids_of(tokenizer, text, special=True):
    return tokenizer(text, add_special_tokens=special)["input_ids"]


def ended(tokenizer, text):
    return text if text.endswith(tokenizer.eos_token) else text + tokenizer.eos_token


def after_prompt(prompt, whole):
    common = 0
    while common < min(len(prompt), len(whole)) and prompt[common] == whole[common]:
        common += 1
    return [-100] * common + whole[common:]


def spans_of(tokenizer, messages):
    """The assistant's turns as spans of characters, by rendering prefixes."""
    def text(part, prompt):
        return render_jinja_template([part], chat_template=tokenizer.chat_template, add_generation_prompt=prompt)[0][0]

    whole = text(messages, False)
    spans = []
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            head, tail = text(messages[:i], True), text(messages[:i + 1], False)
            assert whole.startswith(head) and whole.startswith(tail)
            spans.append((len(head), len(tail)))
    return whole, spans


def label_chat(tokenizer, messages):
    if "{% generation %}" in tokenizer.chat_template:
        out = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        return out["input_ids"], [i if m else -100 for i, m in zip(out["input_ids"], out["assistant_masks"])]
    whole, spans = spans_of(tokenizer, messages)
    out = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    inside = [any(b < end and e > begin for begin, end in spans) for b, e in out["offset_mapping"]]
    return out["input_ids"], [i if m else -100 for i, m in zip(out["input_ids"], inside)]


def label(tokenizer, row):
    if "text" in row:
        ids = ids_of(tokenizer, ended(tokenizer, row["text"]))
        return ids, ids
    if "messages" in row:
        return label_chat(tokenizer, row["messages"])
    if isinstance(row["prompt"], str):
        prompt, whole = ids_of(tokenizer, row["prompt"]), ids_of(tokenizer, row["prompt"] + ended(tokenizer, row["completion"]))
    else:
        prompt = ids_of(tokenizer, tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True), False)
        both = row["prompt"] + row["completion"]
        whole = ids_of(tokenizer, tokenizer.apply_chat_template(both, tokenize=False), False)
    return whole, after_prompt(prompt, whole)


def main():
    expected = []
    for name, template, bos in (("plain", PLAIN, False), ("marked", MARKED, False), ("bos", BOS, True)):
        tokenizer = make_tokenizer(template, bos)
        tokenizer.save_pretrained(OUT / name)
        for row in ROWS:
            ids, labels = label(tokenizer, row)
            expected.append([name, row, ids, labels])
    text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in expected)
    (OUT / "expected.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
