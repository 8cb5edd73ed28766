#!/bin/bash
# Classifying texts from end to end: a new head on the tiny model, its adapter, evaluation, and the merged classifier.
set -uo pipefail
# shellcheck source=tests/cli/common.bash
. "$(dirname "$0")/common.bash"

model=examples/tiny-llama
classifier=tests/golden/classifiers/models/llama
[ -f "$model/config.json" ] || { echo "skipped: $model is not there"; exit 77; }

# ---- Rows
for i in 1 2 3 4 5 6; do
    printf '{"text":"The lamp %s is on.","label":1}\n{"text":"The kitchen %s is cold.","label":0}\n' "$i" "$i"
done >"$work/rows.jsonl"
run 0 data check -m "$model" --data "$work/rows.jsonl" --task seq_cls
run 0 data show -m "$model" --data "$work/rows.jsonl" --task seq_cls --json
lines "$out" 12
out_has '^\{"input_ids":\[[0-9,]+\],"label":1\}$'
run 0 data show -m "$model" --data "$work/rows.jsonl" --task seq_cls --rows 1
out_has '[0-9]+ tokens, label 1'
run 0 data stats -m "$model" --data "$work/rows.jsonl" --task seq_cls --json
out_has '"trained_tokens":12'
run 0 data show -m "$model" --data "$work/rows.jsonl" --json # to a causal model it is a text like others
out_has '"labels"'
printf 'text,label\nThe lamp,1\n"The kitchen",LABEL_0\n' >"$work/rows.csv"
run 0 data show -m "$model" --data "$work/rows.csv" --task seq_cls --json
out_has '"label":1'
out_has '"label":0'
for label in 2 -1 '"bright"' 1.5 null; do
    printf '{"text":"a","label":1}\n{"text":"b","label":%s}\n' "$label" >"$work/bad.jsonl"
    run 3 data check -m "$model" --data "$work/bad.jsonl" --task seq_cls
    err_has 'bad\.jsonl:2'
    run 3 train -m "$model" --data "$work/bad.jsonl" --task seq_cls -o "$work/bad" --steps 1
    err_has 'bad\.jsonl:2'
    missing "$work/bad"
done
printf '{"input_ids":[5,6,3,3],"label":"yes"}\n{"input_ids":[5,6],"label":0}\n' >"$work/ids.jsonl"
run 0 data show -m "$classifier" --data "$work/ids.jsonl" --json # config.json says what the model is
out_has '^\{"input_ids":\[5,6,3,3\],"label":2\}$'

printf '{"text":"a","label":4}\n' >"$work/five.jsonl"
run 0 data check -m "$model" --data "$work/five.jsonl" --task seq_cls --num-labels 5
run 3 data check -m "$model" --data "$work/five.jsonl" --task seq_cls

# ---- A classifier's folder
run 0 logits -m "$classifier" --ids 5,6,3,3 --dtype f32 --json -o "$work/padded"
out_has '"shape":\[3\]'
run 0 logits -m "$classifier" --ids 5,6 --dtype f32 -o "$work/bare"
same "$work/padded" "$work/bare"
run 0 eval -m "$classifier" --data "$work/ids.jsonl" --json
json_keys loss perplexity tokens accuracy
out_has '"tokens":2,'
run 2 generate -m "$classifier" --ids 1,2 -n 1
err_has 'generates no text'
run 2 merge -m "$classifier" -o "$work/classifier.gguf"
err_has 'GGUF'
run 0 inspect "$classifier" --json
out_has '"labels":3'

# ---- A new head
run 2 logits -m "$model" --task seq_cls --ids 5,6 -o "$work/none"
err_has 'no adapter brings one'
train=(train -m "$model" --data "$work/rows.jsonl" --task seq_cls --rank 4 --steps 6 --batch-size 4 --lr 1e-2
    --lr-schedule constant --steps-per-report 1 --dtype f32 --threads 1 --seed 3)
run 0 "${train[@]}" --dry-run --json
out_has '"trainable_parameters":'
run 0 "${train[@]}" -o "$work/adapters"
lines "$work/adapters/metrics.jsonl" 6
grep -q '"task_type": "SEQ_CLS"' "$work/adapters/adapter_config.json" || fail "the task is not in the configuration"
tr -d '\n ' <"$work/adapters/adapter_config.json" | grep -q '"modules_to_save":\["classifier","score"\]' ||
    fail "modules_to_save"
grep -aq '"base_model.model.score.weight"' "$work/adapters/adapter_model.safetensors" || fail "no score.weight"
sed 's/.*"trained_tokens": \([0-9]*\).*/\1/' "$work/adapters/metrics.jsonl" | paste -sd ' ' >"$out"
out_is '4 8 12 16 20 24'
run 0 "${train[@]}" -o "$work/again"
same "$work/adapters/adapter_model.safetensors" "$work/again/adapter_model.safetensors"
run 0 "${train[@]}" --seed 4 --steps 0 -o "$work/other"
run 0 "${train[@]}" --steps 0 -o "$work/first"
differ "$work/first/adapter_model.safetensors" "$work/other/adapter_model.safetensors"

# ---- The adapter says what it is for
run 0 eval -m "$model" --adapter "$work/adapters" --data "$work/rows.jsonl" --dtype f32 --json
out_has '"tokens":12,'
out_has '"accuracy":1'
run 0 logits -m "$model" --adapter "$work/adapters" --ids 5,6,7 --dtype f32 --json -o "$work/adapted"
out_has '"shape":\[2\]'
run 2 generate -m "$model" --adapter "$work/adapters" -p Hello -n 1
err_has 'generates no text'
run 2 export -m "$model" --adapter "$work/adapters" --to gguf-adapter -o "$work/adapter.gguf"
run 0 train -m "$model" --adapter "$work/adapters" --data "$work/rows.jsonl" --steps 1 -o "$work/more"
run 0 train -m "$model" --peft-config "$work/adapters/adapter_config.json" --data "$work/rows.jsonl" --steps 0 \
    -o "$work/alike"
run 0 merge -m "$model" --adapter "$work/adapters" -o "$work/merged" --dtype f32
grep -q LlamaForSequenceClassification "$work/merged/config.json" || fail "the merged model is no classifier"
run 0 eval -m "$work/merged" --data "$work/rows.jsonl" --dtype f32 --json
out_has '"accuracy":1'

# ---- Another number of labels
run 0 train -m "$model" --task seq_cls --num-labels 5 --data "$work/five.jsonl" --steps 2 -o "$work/five"
err_has 'Try it: lorac eval .* --data .*five.jsonl'
run 0 logits -m "$model" --adapter "$work/five" --ids 5,6,7 --json -o "$work/adapted"
out_has '"shape":\[5\]'
run 0 resume "$work/five"
run 2 train -m "$classifier" --num-labels 5 --data "$work/ids.jsonl" --steps 1 -o "$work/none"
err_has 'num-labels'
run 2 train -m "$model" --num-labels 5 --data "$work/rows.jsonl" --steps 1 -o "$work/none"
err_has 'num-labels'

# ---- Interrupted and resumed: the same bytes
long=("${train[@]}" --steps 400 --save-every 0)
run 0 "${long[@]}" -o "$work/whole"
interrupt '"iteration":2,' "${long[@]}" --log json -o "$work/cut"
run 0 resume "$work/cut"
same "$work/whole/adapter_model.safetensors" "$work/cut/adapter_model.safetensors"

finish
