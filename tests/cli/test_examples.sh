#!/bin/bash
# The example programs, as a C user would run them: fine-tune the tiny model, then ask it something with the result, and
# switch between two results.
set -uo pipefail
# shellcheck source=tests/cli/common.bash
. "$(dirname "$0")/common.bash"

model=examples/tiny-llama
finetune=${EXAMPLES:-build}/example-finetune generate=${EXAMPLES:-build}/example-generate
adapters=${EXAMPLES:-build}/example-adapters
[ -x "$finetune" ] || { echo "skipped: $finetune is not there"; exit 77; }

# example CODE PROGRAM ARGUMENT...
example() {
    local code=$1 got=0
    shift
    "$@" >"$out" 2>"$err" </dev/null || got=$?
    [ "$got" = "$code" ] || fail "exit code $got, not $code: $*"
}

example 0 "$finetune" "$model" examples/requests "$work/adapter" 60
out_has 'trainable parameters'
out_has 'step 60 of 60: loss [0-9.]+'
exists "$work/adapter/adapter_model.safetensors"
first=$(grep -m 1 -oE 'loss [0-9.]+' "$out" | cut -d' ' -f2)
last=$(grep -oE 'loss [0-9.]+' "$out" | tail -n 1 | cut -d' ' -f2)
awk -v a="$first" -v b="$last" 'BEGIN { exit !(b < a) }' || fail "the loss went from $first to $last"

example 0 "$generate" "$model" 'Turn on the kitchen light.' "$work/adapter"
out_has '\[[0-9]+ tokens, (stop|length), [0-9]+ tokens/s\]'
adapted=$(head -n 1 "$out")
example 0 "$generate" "$model" 'Turn on the kitchen light.'
[ "$(head -n 1 "$out")" != "$adapted" ] || fail "the adapter changes nothing"

example 0 "$finetune" "$model" examples/requests "$work/other" 20
example 0 "$adapters" "$model" 'Turn on the kitchen light.' "$work/adapter" "$work/other"
said() { sed -n "s/^$1: //p" "$out"; }
for what in base first second both; do
    [ -n "$(said $what)" ] || fail "nothing was said with $what"
done
[ "$(said first)" != "$(said base)" ] || fail "the first adapter changes nothing"
[ "$(said merged)" = "$(said both)" ] || fail "merging changed the answer"
[ "$(said disabled)" = "$(said base)" ] || fail "disabling does not give the base"
[ "$(grep -c '^mixed, .*: token [0-9]' "$out")" = 3 ] || fail "not three rows were mixed"
out_has '"merged_adapters":\["first","second"\]'

example 2 "$adapters"
err_has usage
example 3 "$adapters" "$model" 'Turn on the kitchen light.' "$work/adapter" "$work/nowhere"
example 2 "$finetune"
err_has usage
example 3 "$finetune" "$work/nowhere" examples/requests "$work/other"
err_has 'no such model'
finish
