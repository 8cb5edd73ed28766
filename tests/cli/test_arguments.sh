#!/bin/bash
# The command line itself: commands, flags, help, completion, and how mistakes are reported. Needs no model.
set -uo pipefail
# shellcheck source=tests/cli/common.bash
. "$(dirname "$0")/common.bash"

# Overview, version, help of every command
run 0 --version
out_has '^lorac [0-9]+\.[0-9]+\.[0-9]+$'
run 2
err_has '^Usage: lorac COMMAND'
run 0 --help
out_has '^  data check '
for command in train plan resume eval generate chat logits tokenize template 'data check' 'data show' 'data stats' merge extract export \
    inspect bench doctor pull completion help; do
    # shellcheck disable=SC2086 # two words are two arguments
    run 0 $command --help
    out_has "^lorac $command: "
    out_has '^Examples$'
    out_has '^Exit codes: '
done
run 0 data --help
cp "$out" "$work/group"
out_has '^  data show '
run 0 help data
same "$out" "$work/group"
run 2 data
err_has 'lorac data'
run 0 help train
out_has '^  -r, --rank N '
out_has 'default: 2e-4'
out_has -- '--no-shuffle .* without a new order'
run 0 merge --help
! grep -q -e --verify -e --no-verify "$out" || fail 'merge --help shows what cannot be chosen'
run 0 train --help
cp "$out" "$work/help"
for name in rank alpha dropout target-modules adapter peft-config steps epochs batch-size grad-accumulation-steps learning-rate \
    lr-schedule warmup-steps weight-decay max-grad-norm optimizer seed no-shuffle dtype threads steps-per-report task loss-on config; do
    grep -qE -- "--$name( |\$)" "$work/help" || fail "--$name is not in train --help"
done

# Mistakes: exit code 2 and the nearest name
while IFS='|' read -r pattern arguments; do
    # shellcheck disable=SC2086 # the words are arguments
    run 2 $arguments
    err_has "$pattern"
    out_empty
done <<'TABLE'
lorac train|trian
lorac data check|data chekc
lorac help|frobnicate
--batch-size|train --batchsize 3
--rank|train --rnak=3
--temp|generate --tmp 0
--json|eval --jsn
there is no flag --compare|train --compare
needs a value|generate -m x --top-k
batch-size|train --batch_size=x
rank|train --rank 0
dropout|train --dropout 1.5
lr-schedule|train --lr-schedule wavy
optimizer|train --optimizer sgd
dtype|train --dtype f8
top-p|generate --top-p 2
to .*gguf-adapter|export --to onnx
outtype|merge --outtype q2
Did you mean dare_linear|merge --method dare_linar
model|train --data x
data|train -m x
data|eval -m x
-p TEXT or --ids|generate -m x
needs one of|tokenize -m x
needs one of|tokenize -m x -p a --file b
--messages|template -m x
needs --ids|logits -m x
-o|merge -m x --adapter y
resume DIR|resume
inspect PATH|inspect
what is "extra"|train extra
bash|completion fish
comes with lorac|pull tiny
smollm2-135m|pull smollm
run.yaml|resume /nowhere
nowhere.yaml|train -c /nowhere.yaml
--ids|logits -m . --ids 1,,2 -o x
TABLE

# The same as one JSON object
run 2 train --json --rnak 3
json_keys error code file line column key found expected hint message
out_has '"code":2'
out_has '"hint":"Did you mean --rank\?"'
run 2 train --rank=0 --json
out_has '"key":"rank"'
run 2 frobnicate --json
json_keys error
run 3 logits -m /nowhere/model --ids 1 -o x --json
json_keys error
out_has '"file":"/nowhere/model"'

# Models by name
XDG_CACHE_HOME=$work run 3 generate -m smollm2-135m -p x
err_has 'lorac pull smollm2-135m'
LORAC_DATA=$work run 3 generate -m tiny -p x
err_has LORAC_DATA
run 0 pull --list --json
json_keys models
out_has '"name":"smollm2-135m"'

# Configuration files: place of the mistake, and flags win over them
printf 'rank: 8\nrnak: 4\n' >"$work/bad.yaml"
run 2 train -c "$work/bad.yaml" -m x --data y
err_has 'bad\.yaml:2:1: .*rank'
printf 'rank: [\n' >"$work/bad.yaml"
run 2 train -c "$work/bad.yaml"
err_has 'bad\.yaml:[12]:'

# Completion
run 0 completion bash
bash -n "$out" || fail "the completion script is not bash"
complete_word() { bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lorac; echo "${COMPREPLY[*]}"' bash "$out" "$@"; }
[ "$(complete_word lorac res)" = resume ] || fail "completion of a command"
[ "$(complete_word lorac data st)" = stats ] || fail "completion of a second word"
[ "$(complete_word lorac train --grad)" = --grad-accumulation-steps ] || fail "completion of a flag"
[ "$(complete_word lorac eval --dtype b)" = bf16 ] || fail "completion of a value"

# Machine
run 0 doctor --json
json_keys version cpu isa threads memory_total

finish
