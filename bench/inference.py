"""Generation beside llama.cpp, many streams with many adapters, and merging beside PEFT."""

from pathlib import Path

import inputs
from measure import each, take_turns
from programs import beside, llama_generate, lorac_generate, lorac_merge, peft_merge
from table import Goal, Line, skipped
from training import gigabytes

PROMPT, GENERATED, STREAMS = 512, 128, 8


def both_speeds(adapters=()):
    """A long prompt, and generation after a prompt of one token, as llama-bench does."""
    said = lorac_generate(inputs.model_gguf(), 1, GENERATED, adapters)
    return said | {"prompt": lorac_generate(inputs.model_gguf(), PROMPT, 1, adapters)["prompt"]}


def generation(rounds):
    small, large = inputs.adapter(8, "q_proj,v_proj"), inputs.adapter()
    ours = {
        "lorac": both_speeds,
        "lorac, r 8 q,v": lambda: both_speeds([small]),
        "lorac, r 16 all-linear": lambda: both_speeds([large]),
    }
    theirs = {}
    if beside("llama.cpp"):
        theirs = {"llama.cpp": lambda: llama_generate(inputs.model_gguf(), PROMPT, GENERATED)}
    print("generation", flush=True)
    seen = {"llama.cpp": []} | take_turns(rounds, theirs | ours)
    plain, peer = each(seen["lorac"], "generation"), each(seen["llama.cpp"], "generation")
    lines = [Line("generation", "Q4_1, one stream", "tok/s", plain, peer, "llama.cpp", goal=Goal(1))]
    for name in list(ours)[1:]:
        with_adapter = each(seen[name], "generation")
        what = f"Q4_1, one stream, {name.split(', ', 1)[1]}"
        lines.append(Line("generation", what, "tok/s", with_adapter, plain, "no adapter", goal=Goal(0.95)))
    prompts = [each(seen[name], "prompt") for name in ("lorac", "llama.cpp")]
    lines.append(Line("generation", f"Q4_1, prompt of {PROMPT}", "tok/s", *prompts, "llama.cpp", goal=Goal(2)))
    memory = [gigabytes(seen[name]) for name in ("lorac", "llama.cpp")]
    return lines + [Line("generation", "peak memory", "GB", *memory, "llama.cpp", less_is_better=True)]


def streams(rounds):
    what = f"{STREAMS} streams, {STREAMS} adapters r 8 q,v"
    adapters = [inputs.adapter(8, "q_proj,v_proj", seed) for seed in range(STREAMS)]
    ours = dict(model=inputs.model_gguf(), prompt_tokens=1, count=GENERATED)
    programs = {
        "one": lambda: lorac_generate(**ours, adapters=adapters[:1]),
        "bare": lambda: lorac_generate(**ours, streams=STREAMS),
        "all": lambda: lorac_generate(**ours, streams=STREAMS, adapters=adapters),
    }
    print("streams", flush=True)
    speeds = {name: each(runs, "generation") for name, runs in take_turns(rounds, programs).items()}
    lines = [Line("streams", what, "tok/s", speeds["all"], speeds["one"], "one stream", goal=Goal(4))]
    return lines + [Line("streams", what, "tok/s", speeds["all"], speeds["bare"], "no adapters", goal=Goal(0.9))]


def merge(rounds):
    """lorac's whole process, with the verification of the result, beside PEFT's merge and save without loading."""
    if not beside("peft"):
        return [skipped("merge", "merge an f32 folder", "PEFT makes the folder, and PEERS leaves it out")]
    model, adapter = inputs.model_folder(), inputs.adapter()
    print("merge", flush=True)
    programs = {"PEFT": lambda: peft_merge(model, adapter), "lorac": lambda: lorac_merge(model, adapter)}
    seen = take_turns(rounds, programs)
    ours, theirs = seen["lorac"], seen["PEFT"]
    took, what, alone = each(ours, "seconds"), "merge an f32 folder", each(theirs, "seconds")
    whole = each(theirs, "whole")
    size = sum(path.stat().st_size for path in Path(model).iterdir()) / 1e9
    limit = dict(beside=[size], beside_name="the model", goal=Goal(most=1.1))
    return [
        Line("merge", what, "s", took, alone, "PEFT, merge and save", less_is_better=True, goal=Goal(2)),
        Line("merge", what, "s", took, whole, "PEFT, whole process", less_is_better=True),
        Line("merge", "merge, peak memory", "GB", gigabytes(ours), **limit),
        Line("merge", "merge, peak memory", "GB", gigabytes(ours), gigabytes(theirs), "PEFT", less_is_better=True),
    ]
