#!/usr/bin/env python3
"""Rows of every form as ids and labels: by lorac data show, and by TRL's SFTTrainer and collator as they run.

    check_rows.py [-v]

Tokenizers: those of tests/golden/rows and tests/golden/tokenizers, and SmolLM2's folder as transformers makes it from the GGUF
file, if that is in the cache. Templates: the tokenizers' own; every template that TRL publishes for training; and those that it
replaces by them, which lorac takes as they are. What differs on purpose is named, counted and checked for being just that; anything
else fails the check. Needs the environment that tools/make_peers.sh trl makes.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from make_row_goldens import ROWS as FIRST_ROWS
from peer import CACHE, PROGRAM, ROOT, laid_out, other_python, run_other

GOLDEN = ROOT / "tests" / "golden"
UNMARKED = ("plain", "tiny-llama", "SmolLM2")
SPECIAL = {"gpt2": ("<|endoftext|>", "<|endoftext|>"), "llama3": ("<|begin_of_text|>", "<|end_of_text|>"),
           "qwen2": (None, "<|im_end|>"), "roberta": ("<s>", "</s>"), "smollm": (None, "<end>")}
CHATML = GOLDEN / "rows" / "marked" / "chat_template.jinja"


def user(content):
    return {"role": "user", "content": content}


def system(content):
    return {"role": "system", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def part(*texts):
    return [{"type": "text", "text": text} for text in texts]


def call(arguments):
    return {"type": "function", "id": "call00001", "function": {"name": "get_weather", "arguments": arguments}}


TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "The city"}}, "required": ["city"]}}}]
ARGUMENTS = {"city": "Åre", "days": 2}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "sunny"}

TEXTS = [
    {"text": "One line.\n"},
    {"text": "Ω≈ç 12345 \u202e\u00a0 tabs\t\t", "id": 4, "source": None},
    {"prompt": "Q: how?\nA:", "completion": " so.\n\n"},
    {"prompt": "trailing blank ", "completion": " and more"},
    {"prompt": "12", "completion": "345", "source": "x"},
    {"input_ids": [5, 6, 7], "labels": [-100, 6, 7]},
    {"input_ids": [5, 6, 7], "text": "nor this"},
]
CHATS = [
    {"messages": [user("Hi"), assistant("Hello!")]},
    {"messages": [system("Be brief."), user("Hi"), assistant("Hello!"), user("More?"), assistant("No. 😀")]},
    {"messages": [user("  spaced \n"), assistant("\n\nanswer\n "), user("é"), assistant("ok")]},
    {"messages": [user("asked"), assistant("answered"), user("asked again")]},
    {"messages": [user("asked"), assistant("answered"), user("again"), assistant(" ")]},
    {"messages": [user(""), assistant(""), user("<|im_start|>"), assistant("</s><think>")]},
    {"messages": [user("null"), {"name": None, "content": "[1, 2]", "role": "assistant", "extra": {"a": None}}]},
    {"messages": [user("Hi"), assistant("Hello!")], "text": "not this", "kind": 3},
    {"messages": [user("w?"), assistant("", tool_calls=[call(ARGUMENTS)]), RESULT, assistant("It is sunny.")], "tools": TOOLS},
    {"messages": [user("w?"), assistant(None, tool_calls=[call(ARGUMENTS)]), RESULT, assistant("It is sunny.")],
     "tools": json.dumps(TOOLS)},
    {"messages": [user("w?"), assistant("", tool_calls=[call(json.dumps(ARGUMENTS))]), RESULT, assistant("Sun.")], "tools": TOOLS},
    {"messages": [user("think"), assistant("fine", reasoning_content="hm")]},
    {"messages": [user("think"), assistant("fine", thinking="hm"), user("more"), assistant("done", reasoning="hm hm")]},
    {"messages": [user("think"), assistant("<think>\nhm\n</think>\n\nfine"), user("more"), assistant("<think>\nx\n</think>\n\ny")]},
    {"messages": [user(part("one part")), assistant(part("another"))]},
    {"messages": [user(part("two", "parts")), assistant("text")]},
    {"conversations": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]},
    {"conversations": [{"from": "user", "value": "Hi"}, {"from": "assistant", "value": "Hello!"}]},
    {"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]},
]
LISTS = [
    {"prompt": [user("Hi")], "completion": [assistant("Hello!")]},
    {"prompt": [system("s"), user("a"), assistant("b"), user("c")], "completion": [assistant("d")]},
    {"prompt": [user("a"), assistant("b")], "completion": [assistant("c"), user("d"), assistant("e")]},
    {"prompt": [user("w?")], "completion": [assistant("", tool_calls=[call(ARGUMENTS)])], "tools": TOOLS},
    {"prompt": [user("think")], "completion": [assistant("fine", reasoning_content="hm")]},
]

# name: what lorac is asked for, what TRL is asked for, and of which rows
MODES = {
    "auto": ([], {"assistant": True, "completion": None, "length": None}, CHATS),
    "auto, others": ([], {"assistant": False, "completion": None, "length": None}, TEXTS + LISTS + [
        row for row in FIRST_ROWS if "messages" not in row]),
    "all": (["--loss-on", "all"], {"assistant": False, "completion": False, "length": None}, TEXTS[:5] + CHATS + LISTS),
    "assistant": (["--loss-on", "assistant"], {"assistant": True, "completion": False, "length": None}, CHATS + LISTS[:3]),
    "cut at 12": (["--max-seq-length", "12"], {"assistant": False, "completion": None, "length": 12}, TEXTS[:5] + LISTS),
    "cut at 20": (["--max-seq-length", "20"], {"assistant": True, "completion": None, "length": 20}, CHATS),
}


def by_lorac(work, job, flags):
    """For each row [ids, labels], or the complaint. A run ends at the first bad row; the next begins behind it."""
    out, path = [], Path(work) / "rows.jsonl"
    command = [PROGRAM, "data", "show", "-m", job["folder"], "--data", str(path), "--json", *flags]
    command += ["--chat-template", job["template"]] if job["template"] else []
    while len(out) < len(job["plain"]):
        path.write_text("".join(json.dumps(row) + "\n" for row in job["plain"][len(out):]))
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, 3):
            sys.exit(f"FAIL {' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        shown = [row for row in map(json.loads, done.stdout.splitlines()) if "input_ids" in row]
        out += [[row["input_ids"], row["labels"]] for row in shown]
        out += [done.stdout.splitlines()[-1]] if done.returncode else []
    return out


ROLES = {"human": "user", "gpt": "assistant"}


def with_roles(row):
    """ShareGPT's form as messages with the usual roles."""
    if "conversations" not in row:
        return row
    turns = [{"role": ROLES.get(t["from"], t["from"]), "content": t["value"]} if "from" in t else t for t in row["conversations"]]
    return {"messages": turns, **{key: value for key, value in row.items() if key != "conversations"}}


def with_content(row, change):
    lists = {key: [{**m, "content": change(m["content"])} if m.get("content") is not None else m for m in row[key]]
             for key in ("messages", "prompt", "completion") if isinstance(row.get(key), list)}
    return {**row, **lists}


def as_text(content):
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


def as_parts(content):
    return content if isinstance(content, list) else part(content)


def with_arguments(row, change):
    row = json.loads(json.dumps(row))
    for key in ("messages", "prompt", "completion"):
        for message in row[key] if isinstance(row.get(key), list) else []:
            for c in message.get("tool_calls") or []:
                c["function"]["arguments"] = change(c["function"]["arguments"])
    return row


def other_forms(row):
    """What lorac may make of a row before the template sees it, by name; TRL takes every row as it is."""
    contents = {"": lambda c: c, "parts as text": as_text, "text as parts": as_parts}
    arguments = {"": lambda a: a, "arguments as objects": lambda a: json.loads(a) if isinstance(a, str) else a,
                 "arguments as text": lambda a: a if isinstance(a, str) else json.dumps(a, ensure_ascii=False)}
    base = with_roles(row)
    forms, seen = {}, [row]
    for content, change in contents.items():
        for argument, rewrite in arguments.items():
            other = with_arguments(with_content(base, change), rewrite)
            if other not in seen:
                seen.append(other)
                names = ["conversations as messages" if base != row else "", content, argument]
                forms[", ".join(filter(None, names))] = other
    return forms


def blank_labels_gone(tokenizer, labels):
    """Whether the newline behind an end of turn is trained is a matter of taste."""
    return [-100 if label >= 0 and not tokenizer.decode([label]).strip() else label for label in labels]


def same(expected, got):
    if expected is None:  # dropped
        return all(label == -100 for label in got[1])
    return expected == got


def stops_at_blank(expected, got, tokenizer):
    """A token of blanks alone, which has no offsets where the tokenizer trims them, hides a region and those behind it."""
    if isinstance(expected, str):
        expected = [got[0], [-100] * len(got[0])] if "no assistant tokens" in expected else [[], []]
    first = next((i for i, (theirs, ours) in enumerate(zip(expected[1], got[1])) if theirs != ours), None)
    return first is not None and expected[0] == got[0] and not tokenizer.decode([got[0][first]]).strip() and all(
        theirs == -100 for theirs in expected[1][first:])


def judge(job, expected, others, got, tokenizer):
    """The name of the outcome; one that begins with FAIL is none that we mean. `others`: what TRL makes of the other forms."""
    if isinstance(got, str):
        if isinstance(expected, str):
            return "both refuse"
        return "refused: not prefix-stable" if "cannot be found" in got and job["original"] else "FAIL lorac refuses"
    if not isinstance(expected, str) and same(expected, got):
        return "equal"
    for name, other in others.items():
        if not isinstance(other, str) and same(other, got):
            why = "TRL refuses the row" if isinstance(expected, str) else "TRL renders the row as it is"
            return f"equal to TRL with {name}; {why}"
    if isinstance(expected, str) and "no assistant tokens" in expected and all(x == -100 for x in got[1]):
        return "no turn to train: TRL refuses"
    if isinstance(expected, list) and expected[0][-2:] == 2 * [tokenizer.eos_token_id] and same(
            [numbers[:-2] + numbers[-1:] for numbers in expected], got):
        return "one EOS where TRL has two: its own and the tokenizer's"
    if isinstance(expected, list) and expected[0] == got[0] and all(
            theirs == ours or theirs == -100 and "\ufffd" in tokenizer.decode([ours]) for theirs, ours in zip(expected[1], got[1])):
        return "a region ends with a character of several tokens, of which TRL trains the first"
    if any(other is not None and stops_at_blank(other, got, tokenizer) for other in [expected, *others.values()]):
        return "a region begins with a blank that the tokenizer leaves out of its offsets: TRL stops there"
    if not job["original"]:
        return "FAIL different"
    if isinstance(expected, str) and "not training-compatible" in expected:
        return "TRL has no training template"
    for other in [expected, *others.values()]:
        if isinstance(other, list) and got[0] == other[0] and blank_labels_gone(tokenizer, got[1]) == blank_labels_gone(
                tokenizer, other[1]):
            return "equal but for white space behind a turn"
    texts = [other[0] for other in [expected, *others.values()] if isinstance(other, list)]
    return "TRL's training template trains other tokens" if got[0] in texts else "TRL's training template has another text"


def tokenizers(python, work):
    """(name, folder): each with a chat template of its own, or none."""
    for folder in sorted((GOLDEN / "rows").iterdir()):
        if folder.is_dir():
            yield folder.name, str(folder)
    yield "tiny-llama", str(ROOT / "examples" / "tiny-llama")
    for name, (bos, eos) in SPECIAL.items():
        folder = Path(work) / name
        folder.mkdir()
        shutil.copy(GOLDEN / "tokenizers" / name / "tokenizer.json", folder)
        (folder / "tokenizer_config.json").write_text(json.dumps({
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos, "pad_token": eos}))
        yield name, str(folder)
    gguf = CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if gguf.exists():
        folder = Path(work) / "smollm2"
        run_other(python, "trl_peer.py", "folder", gguf, folder)
        yield "SmolLM2", str(folder)


def published(python):
    """TRL's own folder of templates."""
    command = [str(python), "-c", "import importlib.util as u; print(u.find_spec('trl').submodule_search_locations[0])"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()) / "chat_templates"


def main():
    python = other_python("trl")
    with tempfile.TemporaryDirectory() as work:
        found = list(tokenizers(python, work))
        jobs = []

        def add(name, group, folder, template, mode, original=False):
            flags, how, rows = MODES[mode]
            jobs.append({"name": name, "group": group, "folder": folder, "template": template and str(template), "mode": mode,
                         "flags": flags, "plain": rows, "original": original, **how,
                         "rows": [form for row in rows for form in (row, *other_forms(row).values())]})

        for name, folder in found:
            own = json.loads((Path(folder) / "tokenizer_config.json").read_text()).get("chat_template") or \
                (Path(folder) / "chat_template.jinja").exists()
            for mode in MODES:
                marked = mode in ("auto", "assistant", "cut at 20")  # TRL finds turns by marks alone
                template = None if own and not (marked and name in UNMARKED) else CHATML
                add(name, "tokenizers", folder, template, mode)
        folder = dict(found).get("SmolLM2", str(GOLDEN / "rows" / "bos"))  # templates may want a bos_token
        for template in sorted(published(python).glob("*.jinja")):
            training = template.stem.endswith("_training")
            add(template.stem, "training templates" if training else "other templates", folder, template, "auto", not training)
            if training:
                add(template.stem, "training templates", folder, template, "auto, others")
        told, expected = Path(work) / "jobs.json", Path(work) / "expected.json"
        told.write_text(json.dumps(jobs))
        run_other(python, "trl_peer.py", told, expected)
        sys.exit(compare(jobs, json.loads(expected.read_text()), work))


def compare(jobs, answers, work):
    from transformers import AutoTokenizer

    totals = {}
    for job, answer in zip(jobs, answers):
        tokenizer = AutoTokenizer.from_pretrained(job["folder"])
        counts = totals.setdefault(job["group"], Counter())
        wanted = iter(answer)
        for row, got in zip(job["plain"], by_lorac(work, job, job["flags"])):
            expected = next(wanted)
            others = {name: next(wanted) for name in other_forms(row)}
            outcome = judge(job, expected, others, got, tokenizer)
            counts[outcome] += 1
            if outcome.startswith("FAIL") or "-v" in sys.argv:
                print(f"{outcome}: {job['name']}, {job['mode']}: {json.dumps(row, ensure_ascii=False)[:300]}\n"
                      f"  TRL:   {str(expected)[:400]}\n  lorac: {str(got)[:400]}")
    for group, counts in totals.items():
        print(f"{group}: {sum(counts.values())} rows")
        for outcome, count in counts.most_common():
            print("  " + laid_out([str(count).rjust(5), outcome], [6, 60]))
    failed = sum(count for counts in totals.values() for outcome, count in counts.items() if outcome.startswith("FAIL"))
    return 1 if failed or not sum(counts["equal"] for counts in totals.values()) else 0


if __name__ == "__main__":
    main()
