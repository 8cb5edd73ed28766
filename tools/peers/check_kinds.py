#!/usr/bin/env python3
"""The table kind x targets x options x base: everything that PEFT's LoRA can be, made by PEFT on tiny random models, and
what lorac makes of it. For every row, on the same ids and in f32,

    logits     lorac logits beside PEFT's
    merged     lorac merge into a folder, opened by transformers, beside PEFT's unmerged model
    written    lorac train --steps 0 from the adapter, what it wrote opened by PEFT
    counts     lorac inspect --peft-config beside print_trainable_parameters

A number is the largest difference as a share of the largest value. 'refused' is exit code 2 with the name of a setting
of the row in the message; everything else is FAILED.

Two adapters at once (kind_pairs.py), training (kind_training.py) and settings that must be refused (kind_errors.py) follow.

    tools/test_peers.sh kinds [--rows TEXT] [--only rows|pairs|training|errors] [--markdown FILE]
"""

import argparse
import re
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM

import kind_errors
import kind_pairs
import kind_training
from kinds import BASES, ROWS, config_of, make_base, open_adapter, open_base, random_adapter, save_adapter, settings_of
from kinds import trainable_line
from make_goldens import IDS, logits_of
from peer import attempt, difference, laid_out

COLUMNS = {"logits": 1e-4, "merged": 1e-5, "written": 1e-5}
HEAD = ["base", "kind", "targets", "options", *COLUMNS, "counts"]
# Keys that what lorac writes again must hold as PEFT had them. Names and patterns of modules may be filed otherwise.
KEPT = ["r", "lora_alpha", "use_rslora", "use_dora", "lora_bias", "lora_dropout", "bias", "modules_to_save"]
KEPT += ["trainable_token_indices", "ensure_weight_tying", "peft_type", "task_type"]


class Refused(Exception):
    pass


class Wrong(Exception):
    pass


@dataclass
class Result:
    row: tuple
    cells: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)

    def shown(self):
        return [*self.row, *self.cells.values()]


def run(row, *arguments):
    """Standard output of the program; Refused where it refuses the row in the agreed way."""
    done = attempt(*arguments)
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip()
    settings = settings_of(*row[1:])
    named = [key for key in settings if key not in ("r", "lora_alpha")]
    named += [name for name in settings.get("target_modules") or [] if len(name) > 1]
    if done.returncode == 2 and any(name in said for name in named):
        raise Refused(said)
    raise Wrong(f"exit code {done.returncode}, {said[-300:]}")


def near(got, expected, limit):
    apart = difference(got, expected)
    if not apart <= limit:
        raise Wrong(f"{apart:.1e} apart")
    return f"{apart:.0e}"


def in_order(value):
    return sorted(value) if isinstance(value, list) else value


@dataclass
class Case:
    """A row with its files: the base, the adapter on it as PEFT saved it, and what PEFT computes."""

    row: tuple
    base: Path
    adapter: Path
    folder: Path
    model: object
    expected: object

    def logits(self):
        out = self.folder / "logits.safetensors"
        ids = ",".join(map(str, IDS))
        run(self.row, "logits", "-m", self.base, "--adapter", self.adapter, "--ids", ids, "--dtype", "f32", "-o", out)
        return near(load_file(out)["logits"], self.expected, COLUMNS["logits"])

    def merged(self):
        out = self.folder / "merged"
        run(self.row, "merge", "-m", self.base, "--adapter", self.adapter, "-o", out, "--dtype", "f32")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, found = AutoModelForCausalLM.from_pretrained(out, dtype="float32", output_loading_info=True)
        for what in ["missing_keys", "unexpected_keys", "mismatched_keys"]:
            if found[what]:
                raise Wrong(f"transformers has {what} {sorted(found[what])[:3]}")
        return near(logits_of(model.eval()), self.expected, COLUMNS["merged"])

    def written(self):
        out, rows = self.folder / "written", self.folder / "rows.jsonl"
        rows.write_text('{"input_ids": [5, 6, 7], "labels": [5, 6, 7]}\n')
        common = ["--data", rows, "--steps", 0, "--dtype", "f32", "-o", out]
        run(self.row, "train", "-m", self.base, "--adapter", self.adapter, *common)
        before, after = config_of(self.adapter), config_of(out)
        for key in KEPT:
            if in_order(before[key]) != in_order(after[key]):
                raise Wrong(f"{key} was {before[key]!r} and is written as {after[key]!r}")
        model, missing = self.opened_by_peft(out)
        if missing:
            raise Wrong(f"PEFT: {missing[0][:200]}")
        return near(logits_of(model), self.expected, COLUMNS["written"])

    def opened_by_peft(self, folder):
        try:
            return open_adapter(self.base, folder)
        except Exception as problem:  # PEFT has no kind of error of its own for files it cannot read
            raise Wrong(f"PEFT cannot open it: {type(problem).__name__} {problem}") from problem

    def counts(self):
        said = run(self.row, "inspect", self.base, "--peft-config", self.adapter / "adapter_config.json")
        expected = trainable_line(self.model)
        found = re.search(r"trainable params: .*", said)
        if not found or found.group().strip() != expected:
            raise Wrong(f"{found.group().strip() if found else said.strip()[:200]!r}, PEFT: {expected!r}")
        return "equal"


def make_case(folder, bases, number, row):
    base, adapter = bases[row[0]], folder / "adapter"
    made = random_adapter(open_base(base), 1000 + number, **settings_of(*row[1:]))
    save_adapter(made, adapter)
    model, missing = open_adapter(base, adapter)
    expected = logits_of(model)
    if missing or difference(expected, logits_of(made)) > 1e-6:
        sys.exit(f"PEFT does not open what it saved for {row}: {missing}")
    if difference(expected, logits_of(open_base(base))) < 0.05:
        sys.exit(f"the adapter of {row} changes nothing")
    return Case(row, base, adapter, folder, made, expected)


def judge(case):
    result = Result(case.row)
    for column in [*COLUMNS, "counts"]:
        try:
            result.cells[column] = getattr(case, column)()
        except Refused as problem:
            result.cells[column] = "refused"
            result.problems.append(f"{column}: {problem}")
        except Wrong as problem:
            result.cells[column] = "FAILED"
            result.problems.append(f"{column}: {problem}")
    return result


def told_once(result, folder):
    """The problems of a row; what several columns say is told once, without the name of a temporary folder."""
    columns = {}
    for problem in result.problems:
        column, text = problem.split(": ", 1)
        text = " ".join(text.replace(f"{folder}/", "").split())
        columns.setdefault(text, []).append(column)
    return [f"{', '.join(names)}: {text}" for text, names in columns.items()]


def run_rows(wanted):
    widths = [max(map(len, column)) for column in zip(HEAD, *(row + ("", "", "", "") for row in ROWS))]
    widths[4:] = [8] * 4
    print(laid_out(HEAD, widths), flush=True)
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        bases = {name: make_base(name, Path(temporary) / name) for name in BASES}
        for number, row in enumerate(ROWS):
            if wanted not in " ".join(row):
                continue
            with tempfile.TemporaryDirectory(dir=temporary) as folder:
                result = judge(make_case(Path(folder), bases, number, row))
            print(laid_out(result.shown(), widths), flush=True)
            for problem in told_once(result, folder):
                print("    " + problem)
            results.append(result)
    return results


def as_markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows])


PAGE = """<!-- Made by `tools/test_peers.sh kinds --markdown docs/peft-table.md`; do not edit. -->
# lorac beside PEFT, kind by kind

{versions}, f32, on random models of two or three layers: `tied` and `untied` are Llamas whose head is or is not the
embedding, `biased` is a Llama with biases in attention and MLP, `gpt2` a GPT-2. Every trained number is random.
A number is the largest difference as a share of the largest value; the limits are 1e-4 for logits, 1e-5
for merged and written, 1e-3 in training.

- *logits*: `lorac logits` beside PEFT's model;
- *merged*: `lorac merge`, opened by transformers, beside PEFT's unmerged model (so a tied head that is merged alone is untied);
- *written*: `lorac train --steps 0` from PEFT's adapter, and what it writes opened by PEFT again;
- *counts*: the line of `lorac inspect --peft-config` beside `print_trainable_parameters`.

<!-- rows -->
{rows}
<!-- end of rows -->

## Two adapters at once

Beside PEFT's model with both adapters active. *sum of deltas* is how far that is from the base plus what each adapter
alone changes: with DoRA they differ, because its factor is for all that stands before it. Beside an adapter with
trained tokens PEFT loads none without them; there the sum of the deltas is compared.

<!-- pairs -->
{pairs}
<!-- end of pairs -->

## Training

Twenty steps of two rows from PEFT's initial adapter, constant learning rate. *losses* is the largest relative
difference of a step's loss, *adapter* the largest difference of a number of the final adapter as a share of the
largest of its tensor. On PEFT's side two things are done as its formulas have them: with `ensure_weight_tying` the
factors that embedding and head share get the sum of both gradients (PEFT updates them twice), and LoRA-FA projects its
gradients in f32 (PEFT: in bf16 where the processor has it). Of GPT-2's c_attn biases the third for the keys is not
compared: it changes no attention, so its gradient is rounding alone, which Adam enlarges.

<!-- training -->
{training}
<!-- end of training -->

## Settings that PEFT refuses

With the error that PEFT raises, and the exit code of `lorac inspect --peft-config`, whose message names the setting.

<!-- errors -->
{errors}
<!-- end of errors -->
"""


def tables_of(page):
    """What stands between the markers of a page, by name."""
    return dict(re.findall(r"<!-- (\w+) -->\n(.*?)\n<!-- end of \1 -->", page, re.DOTALL))


def write_markdown(path, done):
    """Tables of parts that did not run now stay as they are."""
    import peft
    import transformers

    versions = f"PEFT {peft.__version__}, transformers {transformers.__version__}"
    heads = dict(rows=HEAD, pairs=kind_pairs.HEAD, training=kind_training.HEAD, errors=kind_errors.HEAD)
    earlier = tables_of(path.read_text()) if path.exists() else {}
    tables = dict.fromkeys(heads, "Not run.") | earlier
    tables |= {name: as_markdown(heads[name], [r.shown() for r in results]) for name, results in done.items()}
    path.write_text(PAGE.format(versions=versions, **tables))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", default="", help="only rows whose names hold this text")
    parser.add_argument("--only", choices=["rows", "pairs", "training", "errors"])
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    parts = {"rows": run_rows, "pairs": kind_pairs.run_all}
    parts |= {"training": kind_training.run_all, "errors": kind_errors.run_all}
    if options.rows and options.markdown:
        parser.error("--markdown takes all rows")
    done = {name: part(options.rows) for name, part in parts.items() if options.only in (None, name)}
    if options.markdown:
        write_markdown(options.markdown, done)
    cells = [cell for results in done.values() for result in results for cell in result.shown()]
    failed, refused = cells.count("FAILED"), cells.count("refused")
    print(f"{sum(map(len, done.values()))} rows; cells: {refused} refused, {failed} FAILED")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
