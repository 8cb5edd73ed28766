"""What the peer checks share: running the program, and comparing. They need tools/ and tools/peers/ on PYTHONPATH, as
tools/test_peers.sh has it."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("LORAC", str(ROOT / "build" / "lorac"))
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lorac"
MODELS = ROOT / "tests" / "golden" / "models"
SKIPPED = 77


def attempt(*arguments):
    """Runs the program, however it ends."""
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)


def lorac(*arguments):
    """Runs the program; its standard output. A failure of the program is a failure of the check."""
    done = attempt(*arguments)
    if done.returncode:
        sys.exit(f"FAIL {' '.join(done.args)}\nexit code {done.returncode}\n{done.stderr}")
    return done.stdout


def logits(folder, model, ids, *arguments):
    from safetensors.numpy import load_file

    out = Path(folder) / "logits.safetensors"
    lorac("logits", "-m", model, "--ids", ",".join(map(str, ids)), "--dtype", "f32", "-o", out, *arguments)
    return load_file(out)["logits"]


def other_python(name):
    """The Python of an environment that tools/make_peers.sh NAME made, or the end of the check when there is none."""
    python = CACHE / f"peers-{name}" / "bin" / "python"
    if not python.exists():
        print(f"SKIPPED: {python} is not there; tools/make_peers.sh {name} makes it")
        sys.exit(SKIPPED)
    return python


def run_other(python, script, *arguments):
    """Runs a script of this folder with another Python; a failure is a failure of the check."""
    command = [str(python), "-W", "ignore", str(Path(__file__).parent / script), *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"FAIL {' '.join(command)}\n{done.stdout}{done.stderr}")


def metrics(folder):
    """One object per training step."""
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "loss" in row]


def difference(got, expected):
    """The largest difference as a share of the largest expected value; infinite when the shapes differ."""
    import numpy

    got, expected = numpy.asarray(got, dtype="float64"), numpy.asarray(expected, dtype="float64")
    if got.shape != expected.shape:
        return float("inf")
    return abs(got - expected).max() / max(abs(expected).max(), 1e-30)


def same(what, got, expected, tolerance=1e-4):
    """At most `tolerance` of the largest expected value apart."""
    error = difference(got, expected)
    verdict = "ok  " if error <= tolerance else "FAIL"
    print(f"{verdict} {what}: {error:.1e} of the largest value apart (limit {tolerance:.0e})", flush=True)
    if not error <= tolerance:
        sys.exit(1)


def laid_out(cells, widths):
    """One line of a table."""
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()


def real_model():
    """SmolLM2-135M-Instruct as the program has it, or the end of the check when it is not there."""
    path = CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.exists():
        subprocess.run([PROGRAM, "pull", "smollm2-135m"], capture_output=True)
    if not path.exists():
        print(f"SKIPPED: {path} is not there and cannot be fetched")
        sys.exit(SKIPPED)
    return path


def real_model_folder():
    """The same model, dequantised by transformers and kept in the cache: what PEFT can train."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    source, folder = real_model(), CACHE / "SmolLM2-135M-Instruct-f32"
    if not (folder / "config.json").exists():
        read = AutoModelForCausalLM.from_pretrained(CACHE, gguf_file=source.name, dtype=torch.float32)
        plain = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(CACHE, gguf_file=source.name))
        plain.load_state_dict(read.state_dict())  # `read` counts as quantised and refuses to be saved
        plain.save_pretrained(folder)
    return folder


def real_text(count):
    """Rows of prompt and completion: GSM8K where it lies next to the repository, the example data otherwise."""
    gsm8k = ROOT.parent / "shared" / "data" / "gsm8k" / "train.jsonl"
    if gsm8k.exists():
        rows = [json.loads(line) for line in gsm8k.read_text().splitlines()[:count]]
        return [{"prompt": f"Question: {r['question']}\nAnswer: ", "completion": r["answer"]} for r in rows]
    lines = (ROOT / "examples" / "requests" / "train.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[:count]]


def tokenised(folder, model, rows):
    """The rows as ids and labels by the program's own tokenizer, so that both programs train on the same numbers."""
    text, out = Path(folder) / "text.jsonl", Path(folder) / "rows.jsonl"
    text.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out.write_text(lorac("data", "show", "-m", model, "--data", text, "--json"))
    return out
