#!/bin/bash
# The command line as scripts rely on it: forms, JSON keys, files and exit codes, on the tiny model.
set -uo pipefail
# shellcheck source=tests/cli/common.bash
. "$(dirname "$0")/common.bash"

model=examples/tiny-llama
[ -f "$model/config.json" ] || { echo "skipped: $model is not there"; exit 77; }

cat >"$work/rows.jsonl" <<'ROWS'
{"messages":[{"role":"user","content":"The lamp in the hall is too bright."},{"role":"assistant","content":"I dim it."}]}
{"messages":[{"role":"user","content":"Is it warm?"},{"role":"assistant","content":"Yes."},{"role":"user","content":"And now?"},{"role":"assistant","content":"No."}]}
{"prompt":"Turn the heating ","completion":"off"}
{"text":"The kitchen is cold."}
{"input_ids":[3,4,5,6,7,8],"labels":[-100,-100,5,6,7,8]}
ROWS
train=(train -m "$model" --data "$work/rows.jsonl" --rank 4 --steps 4 --batch-size 2 --lr 1e-3 --lr-schedule constant
    --steps-per-report 1 --dtype f32 --threads 1 --seed 3)

# ---- tokenize
run 0 tokenize -m "$model" -p 'The lamp' --json
json_keys ids tokens
ids=$(sed -E 's/.*"ids":\[([0-9,]*)\].*/\1/' "$out")
run 0 tokenize -m "$model" --detokenize "$ids"
out_is 'The lamp'
printf 'The lamp' >"$work/text"
run 0 tokenize -m "$model" --file "$work/text" --json
out_has "\"ids\":\\[$ids\\]"
printf '{"text":"The lamp"}\n{"text":"é"}\n' >"$work/texts.jsonl"
run 2 tokenize -m "$model" --detokenize 1,999999
err_has 'no token 999999'
run 2 tokenize -m tests/golden/tokenizers/holes --detokenize 1,310
err_has 'no token 310'
bert=tests/golden/tokenizers/bert_uncased
run 0 tokenize -m "$bert" -p 'a cat' --pair sat --json
out_is '{"ids":[2,21,244,108,3,213,108,3],"tokens":["[CLS]","a","ca","##t","[SEP]","sa","##t","[SEP]"],"type_ids":[0,0,0,0,0,1,1,1]}'
run 0 tokenize -m "$model" --jsonl "$work/texts.jsonl" --no-special-tokens
lines "$out" 2
printf '{"text":"a"}\n{"text":\n' >"$work/texts.jsonl"
run 3 tokenize -m "$model" --jsonl "$work/texts.jsonl"
err_has 'texts\.jsonl:2'
printf '{"text":"a"}\n{"text":7}\n' >"$work/texts.jsonl"
run 3 tokenize -m "$model" --jsonl "$work/texts.jsonl" --json
out_has '"line":2'

# ---- template
printf '{"messages":[{"role":"user","content":"Hello"}]}' >"$work/messages.json"
run 0 template -m "$model" --messages "$work/messages.json"
[ "$(tail -c 1 "$out" | wc -c)" = 1 ] || fail "nothing was rendered"
length=$(wc -c <"$out")
run 0 template -m "$model" --messages "$work/messages.json" --add-generation-prompt
[ "$(wc -c <"$out")" -gt "$length" ] || fail "no generation prompt"
printf "{{ bos_token }}|{{ eos_token }}|{{ messages[0]['content'] }}" >"$work/template.jinja"
run 0 template --chat-template "$work/template.jinja" --messages "$work/messages.json" --bos '<s>' --eos '</s>'
printf '<s>|</s>|Hello' >"$work/expected"
same "$out" "$work/expected"
printf "\n{{ raise_exception('no such role') }}" >"$work/template.jinja"
run 3 template --chat-template "$work/template.jinja" --messages "$work/messages.json"
err_has 'no such role'
run 0 template --chat-template chatml --messages "$work/messages.json" --add-generation-prompt
printf '<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n' >"$work/expected"
same "$out" "$work/expected"
run 2 template -m "$model" --chat-template chatnl --messages "$work/messages.json"
err_has 'chatml.*llama3'
cp -r "$model" "$work/named"
printf '{"messages":[{"role":"user","content":"Hello"}],"tools":[],"chat_template_kwargs":{"mood":"calm"}}' >"$work/tools.json"
mkdir "$work/named/additional_chat_templates"
printf 'tools, {{ mood }}' >"$work/named/additional_chat_templates/tool_use.jinja"
run 0 template -m "$work/named" --messages "$work/tools.json"
out_is 'tools, calm'
run 0 template -m "$work/named" --messages "$work/messages.json" --chat-template tool_use
out_is 'tools, '
run 0 data show -m "$model" --data "$work/rows.jsonl" --chat-template llama3 --json
lines "$out" 5
run 0 train -m "$work/named" --data "$work/rows.jsonl" --steps 0 --chat-template chatml -o "$work/chatml"
grep -q 'im_start' "$work/chatml/chat_template.jinja" || fail "the template of the training is not kept"
missing "$work/chatml/additional_chat_templates"
run 0 train -m "$work/named" --data "$work/rows.jsonl" --steps 0 -o "$work/own"
exists "$work/own/additional_chat_templates/tool_use.jinja"
printf '{"messages":' >"$work/broken.json"
run 3 template -m "$model" --messages "$work/broken.json"
err_has 'broken\.json:1:12: not valid JSON'
printf '{"messages":[],"tools":{}}' >"$work/broken.json"
run 3 template -m "$model" --messages "$work/broken.json"
err_has 'broken\.json: .*key tools; found an object, expected an array'
printf '{"messages":[{"role":"user","content":"Hi"}],"tools":null,"chat_template_kwargs":null}' >"$work/nulls.json"
run 0 template -m "$model" --messages "$work/nulls.json" --date 2024-02-29
for day in 2024-02-30 2024-2 today ''; do
    run 2 template -m "$model" --messages "$work/nulls.json" --date "$day"
done

# ---- data
run 0 data check -m "$model" --data "$work/rows.jsonl"
run 0 data show -m "$model" --data "$work/rows.jsonl" --json
lines "$out" 5
out_has '^\{"input_ids":\[3,4,5,6,7,8\],"labels":\[-100,-100,5,6,7,8\]\}$'
run 0 data show -m "$model" --data "$work/rows.jsonl"
out_has '(⟦|\[\[)'
run 0 data show -m "$model" --data "$work/rows.jsonl" --json --loss-on all
head -n 1 "$out" | grep -q -- -100 && fail "--loss-on all leaves tokens out"
run 0 data stats -m "$model" --data "$work/rows.jsonl" --json
json_keys rows tokens trained_tokens median longest truncated histogram
out_has '"rows":5'
cat >"$work/bad.jsonl" <<'ROWS'
{"text":"fine"}
{"text":5}
{"text":"fine"
{"other":"x"}
{"input_ids":[1,2,3],"labels":[-100,-100,-100]}
ROWS
run 3 data check -m "$model" --data "$work/bad.jsonl"
for line in 2 3 4 5; do
    err_has "bad\\.jsonl:$line"
done
! grep -q 'bad\.jsonl:1' "$err" || fail "a good row is reported"
run 3 data check -m "$model" --data "$work/bad.jsonl" --json
json_keys error rows bad errors
out_has '"bad":4'
run 3 data show -m "$model" --data "$work/bad.jsonl" --json
out_has '"line":2'
run 3 data check -m "$model" --data "$work/nowhere.jsonl"

# ---- plan
run 0 plan -m "$model" --data "$work/rows.jsonl" --rank 4 --json
json_keys trainable_parameters all_parameters steps memory peak fits
run 0 train -m "$model" --data "$work/rows.jsonl" --rank 4 --dry-run -o "$work/dry"
out_has '^trainable params: [0-9,]+ \|\| all params: [0-9,]+ \|\| trainable%: [0-9.]+$'
missing "$work/dry"

# ---- train
run 0 "${train[@]}" -o "$work/a"
out_empty
err_has '^trainable params: .* \|\| trainable%: '
err_has '^Iter 1: Train loss [0-9.]+, Learning Rate 1\.000e-03, It/sec [0-9.]+, Tokens/sec [0-9.]+, Trained Tokens [0-9]+, Peak mem [0-9.]+ GB$'
for file in adapter_config.json adapter_model.safetensors metrics.jsonl run.yaml; do
    exists "$work/a/$file"
done
[ "$(grep -c '"loss":' "$work/a/metrics.jsonl")" = 4 ] || fail "metrics.jsonl has not one loss for each step"
head -n 1 "$work/a/metrics.jsonl" >"$out"
json_keys step loss learning_rate grad_norm tokens trained_tokens tokens_per_second
run 2 "${train[@]}" -o "$work/a"
run 0 "${train[@]}" -o "$work/b" --json --log quiet
json_keys output steps loss tokens tokens_per_second
same "$work/a/adapter_model.safetensors" "$work/b/adapter_model.safetensors"
run 0 train -c "$work/a/run.yaml" -o "$work/c" --log json
out_has '^\{"event":"train","iteration":1,.*"train_loss":'
same "$work/a/adapter_model.safetensors" "$work/c/adapter_model.safetensors"
run 0 train -c "$work/a/run.yaml" -o "$work/c" --overwrite --seed 4 --log quiet
differ "$work/a/adapter_model.safetensors" "$work/c/adapter_model.safetensors"
run 0 "${train[@]}" -o "$work/zero" --steps 0
exists "$work/zero/adapter_model.safetensors"
run 3 train -m "$model" --data "$work/bad.jsonl" -o "$work/none"
err_has 'bad\.jsonl:[2-5]'
missing "$work/none/adapter_model.safetensors"
run 3 "${train[@]}" -m "$work" -o "$work/none" --json
json_keys error

# ---- interrupted, resumed
interrupt '"iteration":2,' "${train[@]}" --steps 100000 --save-every 0 --log json -o "$work/cut"
err_has "lorac resume $work/cut"
run 0 "${train[@]}" --save-every 2 -o "$work/whole"
run 0 resume "$work/whole"
same "$work/a/adapter_model.safetensors" "$work/whole/adapter_model.safetensors"

# ---- eval
run 0 eval -m "$model" --data "$work/rows.jsonl" --json --dtype f32
json_keys loss perplexity tokens accuracy
base=$(sed -E 's/.*"loss":([^,]*),.*/\1/' "$out")
run 0 eval -m "$model" --adapter "$work/a" --data "$work/rows.jsonl" --json --dtype f32
[ "$(sed -E 's/.*"loss":([^,]*),.*/\1/' "$out")" != "$base" ] || fail "the adapter changes nothing"
run 0 eval -m "$model" --adapter "$work/zero" --data "$work/rows.jsonl" --json --dtype f32
[ "$(sed -E 's/.*"loss":([^,]*),.*/\1/' "$out")" = "$base" ] || fail "an initial adapter changes something"
run 0 eval -m "$model" --adapter "$work/a:0" --data "$work/rows.jsonl" --json --dtype f32
[ "$(sed -E 's/.*"loss":([^,]*),.*/\1/' "$out")" = "$base" ] || fail "weight 0 changes something"

# ---- generate
run 0 generate -m "$model" --ids 3,4,5 -n 6 --temp 0 --ignore-eos --json
json_keys ids text finish_reason prompt_tokens_per_second generation_tokens_per_second
out_has '"ids":\[[0-9]+(,[0-9]+){5}\]'
out_has '"finish_reason":"length"'
cp "$out" "$work/first"
run 0 generate -m "$model" -p 'Is it warm?' -n 8 --temp 0
err_has '^Generation: [0-9]+ tokens'
run 0 generate -m "$model" --adapter "$work/a" --adapter "$work/b:0.5" -p 'Is it warm?' -n 4 --temp 0 --no-template --json
json_keys text ids
run 0 generate -m "$model" --adapter "$work/a" -p 'Is it warm?' -n 4 --temp 0 --compare --json
json_keys base adapted
run 0 generate -m "$model" -p 'Is it warm?' -n 8 --temp 1 --seed 5 --json
sed -E 's/.*"ids":(\[[0-9,]*\]).*/\1/' "$out" >"$work/first"
run 0 generate -m "$model" -p 'Is it warm?' -n 8 --temp 1 --seed 5 --json
sed -E 's/.*"ids":(\[[0-9,]*\]).*/\1/' "$out" >"$work/second"
same "$work/first" "$work/second"
run 3 generate -m "$model" --adapter "$work/nowhere" -p x
run 3 generate -m "$model" --ids 99999999 -n 1

# ---- chat
printf 'Is it warm?\n/reset\nAnd now?\n/exit\n' | "$lorac" chat -m "$model" -n 4 --temp 0 >"$out" 2>"$err" || fail "chat"
[ "$(wc -l <"$out")" -ge 2 ] || fail "not two answers"
err_has 'forgotten'

# ---- logits
run 0 logits -m "$model" --adapter "$work/a" --ids 3,4,5 -o "$work/logits.safetensors" --dtype f32
grep -aq '"logits"' "$work/logits.safetensors" || fail "no tensor logits"
run 0 logits -m "$model" --ids 3,4,5 -o "$work/base.safetensors" --dtype f32
differ "$work/logits.safetensors" "$work/base.safetensors"

# ---- merge, export, inspect
run 0 merge -m "$model" --adapter "$work/a" -o "$work/merged" --dtype f32 --json
json_keys max_logit_difference kl_divergence top1_agreement
exists "$work/merged/config.json"
run 0 eval -m "$work/merged" --data "$work/rows.jsonl" --json --dtype f32
run 0 merge -m "$model" --adapter "$work/a:0.5" -o "$work/merged.gguf" --outtype f16
run 0 generate -m "$work/merged.gguf" --ids 3,4,5 -n 2 --temp 0
run 0 export -m "$model" --adapter "$work/a" --to gguf-adapter -o "$work/adapter.gguf"
[ "$(head -c 4 "$work/adapter.gguf")" = GGUF ] || fail "not a GGUF file"
run 0 export -m "$model" --to gguf -o "$work/model.gguf" --outtype q8_0
run 0 inspect "$model" --json
run 0 inspect "$model" --peft-config "$work/a/adapter_config.json"
out_has 'trainable params: [0-9,]+ \|\| all params: [0-9,]+ \|\| trainable%: [0-9.]+'
run 0 inspect "$work/a" --json

# ---- merge --method, extract
run 0 merge --adapter "$work/a:0.7" --adapter "$work/a:-0.2" --method cat -o "$work/cat" --json
json_keys output method rank modules parameters
run 0 eval -m "$model" --adapter "$work/cat" --data "$work/rows.jsonl" --json --dtype f32
sed 's/,"seconds.*//' "$out" >"$work/of-cat"
run 0 eval -m "$model" --adapter "$work/a:0.5" --data "$work/rows.jsonl" --json --dtype f32
[ "$(grep -o '"loss":[0-9]*\.[0-9]\{4\}' "$out")" = "$(grep -o '"loss":[0-9]*\.[0-9]\{4\}' "$work/of-cat")" ] || fail "another loss"
run 2 merge --adapter "$work/a" --adapter "$work/a" --method svd -o "$work/cat"
err_has 'there already'
run 0 merge -m "$model" --adapter "$work/a" --adapter "$work/a" --method svd --svd-rank 1 -o "$work/cat" --overwrite
out_has 'rank 1'
run 0 merge --adapter "$work/a" --adapter "$work/a:0.5" --method dare_ties --density 0.5 --seed 3 -o "$work/dare"
run 0 merge --adapter "$work/a" --adapter "$work/a:0.5" --method dare_ties --density 0.5 --seed 3 -o "$work/dare-again"
same "$work/dare/adapter_model.safetensors" "$work/dare-again/adapter_model.safetensors"
run 0 merge --adapter "$work/a" --adapter "$work/a:0.5" --method dare_ties --density 0.5 --seed 4 -o "$work/dare-other"
differ "$work/dare/adapter_model.safetensors" "$work/dare-other/adapter_model.safetensors"
run 0 merge --adapter "$work/a" --method svd -o "$work/alone"
err_has 'One adapter alone'
run 0 extract -m "$model" --tuned "$work/merged" --rank 2 -o "$work/extracted" --json
json_keys output modules module norm norm_kept other_tensors rank parameters
run 0 logits -m "$model" --adapter "$work/extracted" --ids 3,4,5 -o "$work/extracted.safetensors"
run 0 extract --adapter "$work/a" --energy 0.8 -o "$work/reduced"
out_has "of the update's norm"

# ---- A new DoRA adapter changes nothing yet, and generates what the base does
run 0 train -m "$model" --steps 0 --use-dora -o "$work/dora" --dtype f32
out_of_base() {
    run 0 "$@" --dtype f32 --json
    grep -oE '"(loss|ids)":(\[[^]]*\]|[0-9.]+)' "$out"
}
for words in "eval --data $work/rows.jsonl" "generate --ids 3,4,5 -n 8 --temp 0 --ignore-eos"; do
    # shellcheck disable=SC2086
    base=$(out_of_base $words -m "$model")
    # shellcheck disable=SC2086
    adapted=$(out_of_base $words -m "$model" --adapter "$work/dora")
    if [ -z "$base" ] || [ "$adapted" != "$base" ]; then fail "a new DoRA changes $words: $adapted, not $base"; fi
done

# ---- doctor, bench
run 0 doctor -m "$model" --json
out_has '"forward_pass":"good"'
run 0 bench -m "$model" --steps 2 --max-seq-length 32 --json
json_keys tokens_per_second
run 0 bench -m "$model" --steps 2 --max-seq-length 32 --profile --json
json_keys parts needed_gflop gemm_gflops bandwidth_gbs share_of_ceiling
run 0 bench -m "$model" --generate 3 --max-seq-length 20 --threads 1 --json
json_keys prompt_tokens_per_second generation_tokens_per_second streams
run 0 bench -m "$model" --generate 3 --streams 3 --adapter "$work/a" --adapter "$work/a:0.5" --dtype f32 --json
out_has '"streams":3'
run 2 bench -m "$model" --generate 3 --streams 0
run 3 bench -m "$model" --generate 3 --adapter "$work/none"

finish
