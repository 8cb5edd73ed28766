"""Settings that PEFT refuses: lorac refuses them too, and names the setting. check_kinds.py runs it."""

import json
import re
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from peft import LoraConfig, get_peft_model

from kinds import BASES, make_base, open_base
from peer import attempt, laid_out

HEAD = ["base", "what", "PEFT", "lorac"]

# base, what is wrong, settings
WRONG = [
    ("untied", "a target that is not there", dict(target_modules=["q_prj"])),
    ("untied", "every target excluded", dict(target_modules=["q_proj"], exclude_modules=["self_attn.q_proj"])),
    ("untied", "a regex that matches part of a name", dict(target_modules="q_proj")),
    ("untied", "a norm as target", dict(target_modules=["norm"])),
    ("untied", "targets inside modules_to_save", dict(target_modules=["q_proj"], modules_to_save=["self_attn"])),
    ("untied", "rank 0", dict(target_modules=["q_proj"], r=0)),
    ("untied", "a regex and layers", dict(target_modules=r".*q_proj", layers_to_transform=[1])),
    ("untied", "layers_pattern without layers", dict(target_modules=["q_proj"], layers_pattern="layers")),
    ("untied", "an unknown bias", dict(target_modules=["q_proj"], bias="some")),
    ("untied", "an unknown init", dict(target_modules=["q_proj"], init_lora_weights="large")),
    ("untied", "lora_bias on an embedding", dict(target_modules=["embed_tokens"], lora_bias=True)),
    ("untied", "lora_bias with DoRA", dict(target_modules=["q_proj"], lora_bias=True, use_dora=True)),
    ("untied", "lora_bias with PiSSA", dict(target_modules=["q_proj"], lora_bias=True, init_lora_weights="pissa")),
    ("untied", "lora_bias with gaussian", dict(target_modules=["q_proj"], lora_bias=True, init_lora_weights="gaussian")),
    ("untied", "orthogonal and an odd rank", dict(target_modules=["q_proj"], r=3, init_lora_weights="orthogonal")),
    ("untied", "tokens of a module that is not there", dict(trainable_token_indices={"embeddings": [1]})),
    ("untied", "a token beyond the vocabulary", dict(trainable_token_indices=[5, 5000])),
    ("untied", "tokens of an adapted embedding", dict(target_modules=["embed_tokens"], trainable_token_indices=[5])),
    (
        "tied",
        "tied tokens that differ",
        dict(ensure_weight_tying=True, trainable_token_indices={"embed_tokens": [1, 2], "lm_head": [3, 4]}),
    ),
    ("gpt2", "Llama's targets on GPT-2", dict(target_modules=["q_proj", "v_proj"])),
]


@dataclass
class Outcome:
    base: str
    what: str
    peft: str
    lorac: str
    problem: str = ""

    def shown(self):
        return [self.base, self.what, self.peft, self.lorac]


def peft_says(base, settings):
    """The kind of error with which PEFT refuses the settings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            get_peft_model(open_base(base), LoraConfig(task_type="CAUSAL_LM", **settings))
    except Exception as problem:  # any kind of error is PEFT's way to say no
        return type(problem).__name__
    sys.exit(f"PEFT takes {settings}")


def outcome_of(name, what, settings, base, folder):
    config = folder / "adapter_config.json"
    config.write_text(json.dumps(dict(peft_type="LORA", task_type="CAUSAL_LM", **settings)))
    done = attempt("inspect", base, "--peft-config", config)
    outcome = Outcome(name, what, peft_says(base, settings), f"exit {done.returncode}")
    said = done.stderr.strip()
    values = json.dumps(list(settings.values()))
    named = [word for word in [*settings, *re.findall(r"\w{4,}", values)] if word in said.replace(str(folder), "")]
    if done.returncode not in (2, 3) or not named:
        outcome.lorac = "FAILED"
        outcome.problem = f"exit code {done.returncode}, {said[-300:] or done.stdout.strip()[-100:]}"
    return outcome


def run_all(wanted):
    widths = [max(map(len, column)) for column in zip(HEAD[:2], *(row[:2] for row in WRONG))] + [26, 8]
    print("\nsettings that are wrong\n" + laid_out(HEAD, widths), flush=True)
    outcomes = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bases = {name: make_base(name, folder / name) for name in BASES}
        for name, what, settings in WRONG:
            if wanted not in f"{name} {what}":
                continue
            outcomes.append(outcome_of(name, what, settings, bases[name], folder))
            print(laid_out(outcomes[-1].shown(), widths), flush=True)
            if outcomes[-1].problem:
                print("    " + " ".join(outcomes[-1].problem.replace(f"{folder}/", "").split()))
    return outcomes
