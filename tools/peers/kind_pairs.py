"""Two adapters at once, of any kinds, beside PEFT's model with both active. Where PEFT has no such model, the base plus
what its merge of each adapter alone changes stands for it. check_kinds.py runs it."""

import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from peft import PeftModel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM

from kinds import BASES, make_base, open_base, random_adapter, save_adapter, settings_of
from make_goldens import IDS, logits_of
from peer import attempt, difference, laid_out

LIMITS = {"logits": 1e-4, "merged": 1e-5}
HEAD = ["base", "first", "second", "logits", "merged", "sum of deltas"]

# base, and kind, targets and options of each adapter
PAIRS = [
    ("untied", ("lora", "all-linear", ""), ("lora", "embed_tokens, q_proj", "")),
    ("untied", ("lora", "default", ""), ("dora", "all-linear", "")),
    ("untied", ("dora", "default", ""), ("dora", "all-linear", "")),
    ("untied", ("dora", "embed_tokens, q_proj", ""), ("lora", "embed_tokens", "")),
    ("biased", ("lora_bias", "default", ""), ("dora", "default", "")),
    ("biased", ("lora", "default", "bias lora_only"), ("lora", "all-linear", "")),
    ("untied", ("lora", "default", "save lm_head"), ("rslora", "all-linear", "")),
    ("untied", ("lora", "default", "tokens"), ("lora", "all-linear", "")),
    ("gpt2", ("dora", "default", ""), ("lora", "all-linear", "")),
]


@dataclass
class Pair:
    row: tuple
    found: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)

    def shown(self):
        base, first, second = self.row
        names = [", ".join(filter(None, adapter)) for adapter in (first, second)]
        return [base, *names, *self.found.values()]


def sum_of_deltas(base, adapters):
    model = open_base(base)
    total = {name: p.clone() for name, p in model.state_dict().items()}
    for adapter in adapters:
        merged = PeftModel.from_pretrained(open_base(base), adapter).merge_and_unload().state_dict()
        for name, p in model.state_dict().items():
            total[name] += merged[name] - p
    model.load_state_dict(total)
    return logits_of(model)


def both_active(base, adapters):
    """PEFT with both adapters active; None where it cannot. (Beside trained tokens it loads no adapter without them.)"""
    try:
        model = PeftModel.from_pretrained(open_base(base), adapters[0], adapter_name="first")
        model.load_adapter(adapters[1], adapter_name="second")
        model.base_model.set_adapter(["first", "second"])
        return logits_of(model.eval())
    except (ValueError, KeyError):
        return None


def fill(pair, column, done, read, expected):
    if done.returncode == 0:
        apart = difference(read(), expected)
        near = apart <= LIMITS[column]
        pair.found[column] = f"{apart:.0e}" if near else "FAILED"
        problem = "" if near else f"{apart:.1e} apart"
    else:
        pair.found[column] = "refused" if done.returncode == 2 else "FAILED"
        problem = f"exit code {done.returncode}, {done.stderr.strip()[-300:]}"
    if problem:
        pair.problems.append(f"{column}: {problem}")


def compare(row, base, folder, seed):
    pair, adapters = Pair(row), [folder / "first", folder / "second"]
    for number, adapter in enumerate(adapters):
        made = random_adapter(open_base(base), seed + number, **settings_of(*row[1 + number]))
        save_adapter(made, adapter)
    deltas = sum_of_deltas(base, adapters)
    theirs = both_active(base, adapters)
    expected = deltas if theirs is None else theirs
    words = ["-m", base, "--adapter", adapters[0], "--adapter", adapters[1], "--dtype", "f32", "-o"]
    out, merged = folder / "logits.safetensors", folder / "merged"
    done = attempt("logits", "--ids", ",".join(map(str, IDS)), *words, out)
    fill(pair, "logits", done, lambda: load_file(out)["logits"], expected)
    done = attempt("merge", *words, merged)
    fill(pair, "merged", done, lambda: logits_of(AutoModelForCausalLM.from_pretrained(merged).eval()), expected)
    pair.found["sum of deltas"] = "compared" if theirs is None else f"{difference(deltas, theirs):.0e}"
    return pair


def run_all(wanted):
    rows = [Pair(row) for row in PAIRS if wanted in str(row)]
    widths = [max(map(len, column)) for column in zip(HEAD[:3], *(pair.shown() for pair in rows))] + [8, 8, 13]
    print("\ntwo adapters\n" + laid_out(HEAD, widths), flush=True)
    results = []
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bases = {name: make_base(name, Path(temporary) / name) for name in BASES}
        for number, pair in enumerate(rows):
            with tempfile.TemporaryDirectory(dir=temporary) as folder:
                result = compare(pair.row, bases[pair.row[0]], Path(folder), 3000 + 2 * number)
            print(laid_out(result.shown(), widths), flush=True)
            for problem in result.problems:
                print("    " + " ".join(problem.replace(f"{folder}/", "").split()))
            results.append(result)
    return results
