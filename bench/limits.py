"""lorac beside the machine: the share of a step that is needed products, long rows, and a second thread."""

import inputs
from measure import each, median, take_turns
from programs import THREADS, beside, lorac_json, lorac_train, onednn_rate, words_of
from table import Goal, Line, skipped

SHARES = {"avx512-bf16": 0.65, "amx": 0.45}  # of the products' rate in bf16; f32 has one goal everywhere
SHARE_F32 = 0.70
LENGTHS = [512, 1024, 2048, 4096, 8192]


def profile_of(dtype, **options):
    words = ["-m", inputs.model_gguf(), "--dtype", dtype, "--threads", THREADS, *words_of(options)]
    return lorac_json("bench", *words, "--profile")


def ceiling(rounds, isa):
    """Operations that a step needs / its time, beside the rate of large products measured in the same round: lorac's
    own or oneDNN's, whichever is higher."""
    options = dict(batch_size=8, max_seq_length=256, steps=4)
    lines = []
    for dtype, least in [("bf16", SHARES.get(isa)), ("f32", SHARE_F32)]:
        print(f"share of the products' rate, {dtype}", flush=True)
        programs = {"lorac": lambda: profile_of(dtype, **options)}
        if beside("peft"):
            programs = {"oneDNN": lambda: onednn_rate(THREADS, dtype)} | programs
        lines += shares(dtype, {"oneDNN": []} | take_turns(rounds, programs), Goal(least) if least else None)
    return lines


def shares(dtype, seen, goal):
    runs, theirs = seen["lorac"], each(seen["oneDNN"], "gflops")
    own = each(runs, "gemm_gflops")
    needed = [run["share_of_ceiling"] * run["gemm_gflops"] for run in runs]
    best = [max(rates) for rates in zip(own, theirs)] if theirs else own
    values = dict(beside=best, beside_name="large products", goal=goal, detail=typical(runs))
    return [
        Line("ceiling", f"{dtype}, operations of a step by its time", "GFLOP/s", needed, **values),
        Line("ceiling", f"{dtype}, large products", "GFLOP/s", own, theirs, "oneDNN in PyTorch"),
    ]


def typical(runs):
    """The profile of the run whose share is the median."""
    ranked = sorted(runs, key=lambda run: run["share_of_ceiling"])
    return ranked[len(ranked) // 2] if ranked else None


def training_of_length(length):
    words = dict(max_seq_length=length, dtype="bf16")
    result = lorac_train(inputs.model_gguf(), inputs.rows_of_length(length, 1), 1, 2, **words)
    return {"peak": result["peak"], "time": 1e3 / result["steady"]}


def operations_per_token(length, about):
    """Forward and the gradients of the activations: two products per weight, and seven for attention, of which half is
    masked."""
    attention = 7 * length * about["heads"] * about["head_size"] * about["layers"]
    return 4 * about["parameters"] + attention


def length(rounds):
    """One row of 512 … 8192 tokens, bf16."""
    print("length of rows", flush=True)
    seen = take_turns(rounds, {n: lambda n=n: training_of_length(n) for n in LENGTHS})
    if not all(seen.values()):
        return [skipped("length", "rows of 512 to 8192 tokens", "a run failed")]
    about = lorac_json("inspect", inputs.model_gguf())
    short, long = LENGTHS[0], LENGTHS[-1]
    growth = median(each(seen[long], "time")) / median(each(seen[short], "time"))
    expected = operations_per_token(long, about) / operations_per_token(short, about)
    values = dict(lorac=[growth], beside=[expected], beside_name="needed operations", less_is_better=True)
    lines = [Line("length", f"time per token, {long} beside {short}", "×", **values)]
    for n in LENGTHS:
        lines.append(Line("length", f"time per token, row of {n}", "ms", each(seen[n], "time")))
    return lines + memory_slope(seen) + rest_without_attention(rounds)


def memory_slope(seen):
    """Linear means that the last doubling costs as much per token as the one before."""
    peak = {n: median(each(seen[n], "peak")) for n in LENGTHS}
    slopes = [(peak[b] - peak[a]) / (b - a) / 1e3 for a, b in [LENGTHS[-2:], LENGTHS[-3:-1]]]
    values = dict(lorac=slopes[:1], beside=slopes[1:], beside_name="the doubling before")
    goal = Goal(most=1.1)
    return [Line("length", f"memory per token to {LENGTHS[-1]}", "kB", **values, goal=goal)] + [
        Line("length", f"peak memory, row of {n}", "GB", [peak[n] / 1e9]) for n in LENGTHS
    ]


def time_without_attention(length, steps):
    said = profile_of("bf16", batch_size=1, max_seq_length=length, steps=steps)
    share = sum(part["share"] for part in said["parts"] if part["name"] == "attention")
    return 1e3 * (1 - share) * said["seconds_per_step"] / length


def rest_without_attention(rounds):
    ends = {LENGTHS[0]: 3, LENGTHS[-1]: 2}  # and steps; the first is not counted
    seen = take_turns(rounds, {n: lambda n=n: time_without_attention(n, ends[n]) for n in ends})
    ends = list(ends)
    values = dict(lorac=seen[ends[1]], beside=seen[ends[0]], beside_name=f"row of {ends[0]}")
    return [Line("length", f"time per token without attention, row of {ends[1]}", "ms", **values, goal=Goal(most=1.1))]


def threads(rounds):
    """Scaling of training from one thread to all, beside that of oneDNN's products."""
    what = f"1 to {THREADS} threads, bf16"
    if THREADS == 1:
        return [skipped("threads", what, "there is one processor")]
    options = dict(batch=8, steps=3, dtype="bf16")
    programs = {
        ("lorac", n): lambda n=n: lorac_train(inputs.model_gguf(), inputs.rows(), threads=n, **options)["steady"]
        for n in (1, THREADS)
    }
    if beside("peft"):
        programs |= {("oneDNN", n): lambda n=n: onednn_rate(n)["gflops"] for n in (1, THREADS)}
    print("threads", flush=True)
    seen = take_turns(rounds, programs)
    ours, theirs = (scaling(seen, name) for name in ("lorac", "oneDNN"))
    values = dict(lorac=ours, beside=theirs, beside_name="oneDNN's products")
    return [Line("threads", what, "×", **values, goal=Goal(0.95))]


def scaling(seen, name):
    """Round by round."""
    return [many / one for one, many in zip(seen.get((name, 1), []), seen.get((name, THREADS), []))]
