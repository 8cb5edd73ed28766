#!/bin/bash
# make demo: fine-tunes a real model. Gets SmolLM2-135M-Instruct (without a network: the tiny model in examples/),
# trains it on examples/requests and shows what that changed. Everything it writes lies in build/demo.
#
# LORAC_DEMO_MODEL=tiny   take the tiny model without asking the network
# LORAC_DEMO_STEPS=N      train N steps
# LORAC_DEMO_ROWS=N       ask only the first N test requests afterwards
# LORAC=PROGRAM           use this program instead of build/lorac
# LORAC_DEMO_DIR=DIR      write there instead
set -euo pipefail
cd "$(dirname "$0")/.."

data=examples/requests
folder=${LORAC_DEMO_DIR:-build/demo}
asked_before=20

heading() {
    printf '\n%s== %s%s\n' "$bold" "$*" "$plain"
}

# The command, as one would type it, and then the command itself.
show() {
    printf '%s$ %s%s\n' "$bold" "$*" "$plain"
    "$@"
}

choose_model() {
    model=smollm2-135m steps=75 learning_rate=1e-3
    if [ "${LORAC_DEMO_MODEL:-}" != tiny ]; then
        show "$LORAC" pull "$model" && return
        printf '\n%s\n' "The model cannot be fetched (no network?). The demo goes on with the tiny model in" \
            "examples/tiny-llama: it shows every step, but it has only 0.8 million parameters and knows a few household words."
    fi
    model=tiny steps=300 learning_rate=3e-3
}

# One request and one answer a line, out of the rows that tools/make_example_data.py writes.
split_rows() {
    local rows=$data/test.jsonl
    sed -E 's/^.*"role": "user", "content": "(.*)"\}, \{"role": "assistant".*$/\1/; s/\\"/"/g' "$rows" >"$folder/requests"
    sed -E 's/^.*"role": "assistant", "content": "(.*)"\}\]\}$/\1/; s/\\"/"/g' "$rows" >"$folder/expected"
}

# answer NUMBER OUT [FLAG...]: what the model says to one request, as one line.
answer() {
    local number=$1 out=$2 request
    shift 2
    request=$(sed -n "${number}p" "$folder/requests")
    "$LORAC" generate -m "$model" "$@" -p "$request" -n 48 --temp 0 --threads 1 2>"$out/$number.log" |
        tr '\n' ' ' | sed 's/ *$//' >"$out/$number"
}

# ask NAME COUNT [FLAG...]: answers the first COUNT test requests and counts those that are right to the letter.
ask() {
    local name=$1 count=$2 number right=0
    shift 2
    mkdir -p "$folder/$name"
    seq "$count" | xargs -P "$(nproc)" -I NUMBER bash -euo pipefail -c 'answer "$@"' answer NUMBER "$folder/$name" "$@"
    for number in $(seq "$count"); do
        [ "$(cat "$folder/$name/$number")" != "$(sed -n "${number}p" "$folder/expected")" ] || right=$((right + 1))
    done
    score="$right of $count"
}

bold='' plain=''
if [ -t 1 ]; then
    bold=$'\e[1m' plain=$'\e[0m'
fi
LORAC=${LORAC:-build/lorac}
export -f answer
export LORAC folder model
started=$SECONDS

heading "Model"
choose_model
steps=${LORAC_DEMO_STEPS:-$steps}
rows=${LORAC_DEMO_ROWS:-$(wc -l <"$data/test.jsonl")}
[ "$rows" -ge "$asked_before" ] || asked_before=$rows
show "$LORAC" inspect "$model"
rm -rf "$folder"
mkdir -p "$folder"
split_rows

heading "Before: household requests in, one line of JSON out?"
show "$LORAC" eval -m "$model" --data "$data/test.jsonl"
ask before "$asked_before"
before=$score
echo "answers right to the letter: $before"

heading "Training"
show "$LORAC" train -m "$model" --data "$data" -o "$folder/adapter" --steps "$steps" --batch-size 8 \
    --learning-rate "$learning_rate" --lr-schedule linear --warmup-steps 5 --steps-per-eval 25

heading "After: the same, with the adapter"
show "$LORAC" eval -m "$model" --adapter "$folder/adapter" --data "$data/test.jsonl"
ask after "$rows" --adapter "$folder/adapter"
echo "answers right to the letter: $score (before: $before)"

heading "Side by side: base | adapted"
for number in 1 2 3; do
    request=$(sed -n "${number}p" "$folder/requests")
    printf '\n%s%s%s\n' "$bold" "$request" "$plain"
    "$LORAC" generate -m "$model" --adapter "$folder/adapter" --compare --temp 0 -n 48 -p "$request" \
        2>"$folder/compare.log"
done

heading "Try next"
cat <<TEXT
  $LORAC generate -m $model --adapter $folder/adapter --compare -p "Dim the bedroom light to 30 percent."
  $LORAC chat -m $model --adapter $folder/adapter
  $LORAC merge -m $model --adapter $folder/adapter -o $folder/merged
  $LORAC merge -m $model --adapter $folder/adapter -o $folder/merged.gguf --outtype q8_0
  $LORAC export -m $model --adapter $folder/adapter --to gguf-adapter -o $folder/adapter.gguf

$folder/adapter is a PEFT adapter. The whole demo took $((SECONDS - started)) s.
TEXT
