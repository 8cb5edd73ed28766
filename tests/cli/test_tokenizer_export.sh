#!/bin/bash
# Tokenizers in the other format: a model's folder with each kind of tokenizer becomes a GGUF file, and that a folder again; all three give the
# same ids. What llama.cpp cannot do is refused by name, or told.
set -uo pipefail
# shellcheck source=tests/cli/common.bash
. "$(dirname "$0")/common.bash"

tokenizers=tests/golden/tokenizers models=tests/golden/sentencepiece model=$work/model

cat >"$work/rows.jsonl" <<'ROWS'
{"text": ""}
{"text": "The quick brown fox jumps over the lazy dog."}
{"text": "Please book a table for two at seven, or at 19:30; it'll rain!"}
{"text": "they've ASKED for 12 eggs & 3450 more (see #7)"}
{"text": "a  b   c"}
{"text": "first line\nsecond line\n\nthird"}
{"text": "naïve café, Übergrößen, œuvre"}
{"text": "Привет, мир — 你好，世界。"}
{"text": "if (a && b) { return x[1] + 2.5e-3; }"}
{"text": "x\ttab 😀"}
ROWS

# make_model FILE...: the tiny model with these files for its tokenizer; its vocabulary has more rows than they have tokens.
make_model() {
    rm -rf "$model"
    mkdir "$model"
    cp "$@" "$model"
    cp examples/tiny-llama/config.json examples/tiny-llama/model.safetensors "$model"
    rm -f "$model/expected.json"
}

ids() { run 0 tokenize -m "$1" --jsonl "$work/rows.jsonl" && cp "$out" "$2"; }

# check NAME: through GGUF and back, with the same ids. "once" as the second argument: not back.
check() {
    ids "$model" "$work/before"
    run 0 export -m "$model" --to gguf -o "$work/$1.gguf"
    cp "$err" "$work/$1.notes"
    ids "$work/$1.gguf" "$work/between"
    same "$work/before" "$work/between"
    [ "${2-}" = once ] && return
    run 0 merge -m "$work/$1.gguf" -o "$work/$1"
    ids "$work/$1" "$work/after"
    same "$work/before" "$work/after"
}

# refused COMPONENT: with the exit code for files that are not right, before anything is written.
refused() {
    run 3 export -m "$model" --to gguf -o "$work/refused.gguf"
    err_has "$1"
    err_has 'Write a Hugging Face folder instead'
    missing "$work/refused.gguf"
}

# ---- tokenizer.json
for name in gpt2 llama3 qwen2 smollm bloom deepseek_v3 gemma t5 xlm_roberta bert_uncased; do
    make_model "$tokenizers/$name"/*
    check "$name"
done

# A pre-tokenizer that no folder can have. Adapters are trained all the same.
LC_ALL=C sed 's/qwen2/afmoe/' "$work/qwen2.gguf" >"$work/afmoe.gguf"
run 3 merge -m "$work/afmoe.gguf" -o "$work/afmoe"
err_has 'afmoe.* cannot be written as tokenizer.json'
missing "$work/afmoe"
tail -n +2 "$work/rows.jsonl" >"$work/train.jsonl"
run 0 train -m "$work/afmoe.gguf" --data "$work/train.jsonl" --steps 1 -o "$work/adapter"
exists "$work/adapter/adapter_model.safetensors"
missing "$work/adapter/tokenizer.json"

# ---- Files from before it
for name in vocab_json_deberta vocab_json_cohere vocab_txt; do
    make_model "$tokenizers/$name"/*
    check "$name"
done
make_model "$models/bpe_bytes/tokenizer.model"
check bpe_bytes
for name in unigram unigram_unused char_bytes; do
    make_model "$models/$name/tokenizer.model"
    check "$name"
done
make_model "$tokenizers/holes"/*
check holes once

# Llama's class: what follows a special token gets a blank in llama.cpp alone.
printf '{"tokenizer_class": "LlamaTokenizer", "add_bos_token": true}' >"$work/tokenizer_config.json"
make_model "$models/bpe_bytes/tokenizer.model" "$work/tokenizer_config.json"
check llama
grep -q 'every part of a text between special tokens gets a blank in front' "$work/llama.notes" || fail "no note"

# The whole way of such a model: the folder and all files made of it go on alike.
tokens_of() { run 0 generate -m "$1" -p "The kettle" -n 20 --temp 0 --json && grep -o '"ids":[^]]*' "$out" >"$2"; }
run 0 merge -m "$model" -o "$work/merged.gguf" --outtype f32
tokens_of "$model" "$work/tokens"
for other in llama.gguf merged.gguf llama; do
    tokens_of "$work/$other" "$work/other-tokens"
    same "$work/tokens" "$work/other-tokens"
done

# ---- Refused by name
make_model "$models/bpe/tokenizer.model"
refused 'precompiled_charsmap'
make_model "$models/bpe_suffix/tokenizer.model"
refused 'remove_extra_whitespaces'
make_model "$models/unigram_bytes/tokenizer.model"
refused 'model.byte_fallback'
make_model "$models/unigram_plain/tokenizer.model"
refused 'add_dummy_prefix'
make_model "$models/word/tokenizer.model"
refused 'model; found WORD'
while read -r name component; do
    make_model "$tokenizers/$name"/*
    refused "$component"
done <<'REFUSED'
albert normalizer; found Replace
bert_multilingual normalizer; found handle_chinese_chars
clip model.end_of_word_suffix
distil pre_tokenizer; found Whitespace
llama2 model.merges
metaspace_always model.byte_fallback
normalised_bytes normalizer; found NFD
roberta pre_tokenizer; found add_prefix_space
ruby pre_tokenizer; found
words_length model; found WordLevel
REFUSED

finish
