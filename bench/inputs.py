"""What the groups work on: the model in its several forms, rows and adapters. Made when first asked for, in a folder
that lasts as long as the run; the model itself stays in the cache."""

import atexit
import json
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

from measure import run
from peer import PROGRAM, real_model, real_text, tokenised
from programs import PYTHON, THREADS

VOCABULARY = 49152
ROWS = 32  # of the training lines: 6,400 tokens
JOINED = 6  # rows of the example data, to be as long as one of GSM8K


@cache
def folder():
    made = Path(tempfile.mkdtemp(prefix="lorac-bench-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def model_gguf():
    """SmolLM2-135M-Instruct in Q4_1: 98 MB."""
    return real_model()


@cache
def model_folder():
    """The same weights in f32 as a Hugging Face folder, what PEFT trains. transformers decodes them once."""
    code = "import peer; print(peer.real_model_folder())"
    return Path(run(PYTHON, "-W", "ignore", "-c", code).text().strip().splitlines()[-1])


@cache
def model_q8():
    path = folder() / "q8_0.gguf"
    run(PROGRAM, "export", "-m", model_gguf(), "--to", "gguf", "--outtype", "q8_0", "-o", path)
    return path


@cache
def model_bf16():
    """A folder in bf16, as SmolLM2 is published."""
    path = folder() / "bf16"
    run(PROGRAM, "merge", "-m", model_gguf(), "--adapter", adapter(), "-o", path, "--outtype", "bf16")
    return path


def texts():
    """GSM8K, or where it is not at hand the example data, several rows in one so that lengths are alike."""
    found = real_text(ROWS * JOINED)
    if "prompt" in found[0]:
        return found[:ROWS]
    groups = [found[i : i + JOINED] for i in range(0, len(found), JOINED)]
    return [{"prompt": joined(group, "user"), "completion": joined(group, "assistant")} for group in groups]


def joined(group, role):
    return "\n".join(turn["content"] for row in group for turn in row["messages"] if turn["role"] == role)


@cache
def text_rows():
    path = folder() / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in texts()))
    return path


@cache
def rows():
    """The same as ids: both programs train on the same numbers."""
    return tokenised(folder(), model_gguf(), texts())


@cache
def rows_of_length(length, count=8, vocabulary=VOCABULARY):
    """Made-up rows, every token of them trained. A tokenizer may know fewer ids than the model has rows for."""
    random.seed(length)
    path = folder() / f"rows-{length}-{count}-{vocabulary}.jsonl"
    with path.open("w") as out:
        for _ in range(count):
            ids = [random.randrange(3, vocabulary // 2) for _ in range(length)]
            out.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")
    return path


@cache
def dora_config():
    """DoRA with the rank and targets of the other lines, as PEFT files settings."""
    path = folder() / "dora.json"
    settings = dict(peft_type="LORA", use_dora=True, r=16, lora_alpha=32, target_modules="all-linear")
    path.write_text(json.dumps(settings) + "\n")
    return path


def adapter(rank=16, target_modules="all-linear", seed=0):
    """An adapter folder after one step, so that neither of its factors is zero. It holds the tokenizer too."""
    path = folder() / f"adapter-{rank}-{target_modules}-{seed}"
    if not path.exists():
        words = ["--rank", rank, "--target-modules", target_modules, "--seed", seed, "--threads", THREADS]
        words += ["--steps", 1, "--batch-size", 1, "--save-every", 0, "--steps-per-eval", 0]
        run(PROGRAM, "train", "-m", model_gguf(), "--data", rows(), "-o", path, *words)
    return path
