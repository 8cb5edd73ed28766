"""What check_rows.py does in the environment of TRL: rows through SFTTrainer's own preparation and collator.

    trl_peer.py JOBS.json OUT.json      a list of {"folder", "template", "assistant", "completion", "length", "rows"}: for each
                                        row [ids, labels], null when truncation drops it, or TRL's complaint
    trl_peer.py folder GGUF OUT         the tokenizer of a GGUF file as transformers writes it
"""

import copy
import json
import sys
from pathlib import Path
from types import SimpleNamespace

from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer
from trl.chat_template_utils import get_training_chat_template, has_generation_markers
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling


class Rows(list):
    """As much of a data set as the preparation uses, without a table's habit of giving every row every other row's keys."""

    @property
    def column_names(self):
        return list(self[0]) if self else []

    def map(self, function, fn_kwargs=None, remove_columns=None, **ignored):
        gone = {remove_columns} if isinstance(remove_columns, str) else set(remove_columns or ())
        return Rows({**{k: v for k, v in row.items() if k not in gone},
                     **{k: v for k, v in function(copy.deepcopy(row), **(fn_kwargs or {})).items()}} for row in self)

    def filter(self, function, **ignored):
        return Rows(row for row in self if function(row))

    def select_columns(self, names):
        return Rows({name: row[name] for name in names} for row in self)


def training_template(tokenizer, job):
    """The template that SFTTrainer.__init__ takes instead of the tokenizer's own, or its complaint."""
    if not job["assistant"] or has_generation_markers(tokenizer.chat_template):
        return None
    try:
        return get_training_chat_template(tokenizer)
    except Exception as error:
        return error


def prepare(tokenizer, template, row, job, options):
    """As SFTTrainer.__init__ does for one row, in the same order."""
    if isinstance(template, Exception):
        raise template
    completion = "prompt" in row and "completion" in row if job["completion"] is None else job["completion"]
    trainer = SimpleNamespace(_tokenizer=tokenizer, chat_template=template, completion_only_loss=completion)
    return SFTTrainer._prepare_dataset(trainer, Rows([row]), tokenizer, options, False, None, "train")


def collated(tokenizer, rows):
    """The rows as a padded batch gives them to the model: what is padding has no label, whatever its id."""
    collator = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id)
    batch = collator(rows)
    for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"]):
        count = int(mask.sum())
        assert all(label == -100 for label in labels[count:].tolist())
        yield [ids[:count].tolist(), labels[:count].tolist()]


def run(job):
    tokenizer = AutoTokenizer.from_pretrained(job["folder"])
    if job["template"]:
        tokenizer.chat_template = Path(job["template"]).read_bytes().decode()
    template = training_template(tokenizer, job)
    options = SFTConfig(output_dir="unused", max_length=job["length"], assistant_only_loss=job["assistant"], bf16=False,
                        use_cpu=True, shuffle_dataset=False)
    out, good = [], []
    for row in job["rows"]:
        try:
            prepared = prepare(tokenizer, template, row, job, options)
        except Exception as error:
            out.append(f"{type(error).__name__}: {error}"[:300])
            continue
        out.append(None if not prepared else len(good))
        good += [{"input_ids": r["input_ids"], "labels": r["labels"]} for r in prepared]
    done = list(collated(tokenizer, good)) if good else []
    return [done[x] if isinstance(x, int) else x for x in out]


def main():
    if sys.argv[1] == "folder":
        gguf = Path(sys.argv[2])
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(sys.argv[3])
        return
    jobs = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps([run(job) for job in jobs]))


if __name__ == "__main__":
    main()
