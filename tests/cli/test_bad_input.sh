#!/bin/bash
# Malformed models, adapters, configurations and rows: each ends with the right exit code, names the file and what is wrong in it, and leaves
# nothing behind.
set -uo pipefail
# shellcheck source=tests/cli/common.bash
. "$(dirname "$0")/common.bash"

llama=tests/golden/models/llama adapter=tests/golden/adapters/qv gguf=tests/golden/gguf/llama-Q4_0.gguf tiny=examples/tiny-llama
tried=0

# A fresh copy of a folder or a file, as $work/bad.
take() {
    rm -rf "$work/bad"
    cp -r "$1" "$work/bad"
}

# expect CODE WHERE WHAT ARGUMENT...: stderr has the place and the reason, and the run wrote nothing.
expect() {
    local code=$1 where=$2 what=$3
    shift 3
    tried=$((tried + 1))
    run "$code" "$@"
    err_has "$where"
    err_has "$what"
    missing "$work/o"
    missing "$work/o.safetensors"
}

edit() { sed -i -E "$2" "$work/bad/$1"; }
logits() { expect "$1" "$2" "$3" logits -m "$work/bad" --ids 1,2,3 -o "$work/o.safetensors"; }

# ---- Models: folders
take "$llama"; rm "$work/bad/config.json"; logits 3 config.json 'config.json'
take "$llama"; printf '{"architectures": [' >"$work/bad/config.json"; logits 3 'config.json:1' '.'
take "$llama"; edit config.json 's/LlamaForCausalLM/NoSuchForCausalLM/'; logits 2 config.json NoSuchForCausalLM
take "$llama"; edit config.json 's/"num_hidden_layers": 2/"num_hidden_layers": -2/'; logits 3 config.json num_hidden_layers
take "$llama"; edit config.json 's/"num_attention_heads": 4/"num_attention_heads": 0/'; logits 3 config.json num_attention_heads
take "$llama"; edit config.json 's/"num_key_value_heads": 2/"num_key_value_heads": 3/'; logits 3 config.json num_key_value_heads
take "$llama"; edit config.json 's/"hidden_size": 24/"hidden_size": 25/'; logits 3 . 'hidden_size|shape'
take "$llama"; edit config.json 's/"vocab_size": 70/"vocab_size": 71/'; logits 3 embed_tokens '\[70, 24\]'
take "$llama"; edit config.json 's/"num_hidden_layers": 2/"num_hidden_layers": 3/'; logits 3 layers.2 missing
take "$llama"; edit config.json 's/"rms_norm_eps": [^,]*/"rms_norm_eps": "small"/'; logits 3 config.json rms_norm_eps
take "$llama"; edit config.json 's/"hidden_act": "silu"/"hidden_act": "tanhish"/'; logits 2 hidden_act tanhish
take "$llama"; edit config.json 's/"rope_type": "default"/"rope_type": "spiral"/'; logits 2 rope_type spiral
take "$llama"; rm "$work/bad/model.safetensors"; logits 3 bad 'no weights'
take "$llama"; truncate -s 5 "$work/bad/model.safetensors"; logits 3 model.safetensors .
take "$llama"; truncate -s -7 "$work/bad/model.safetensors"; logits 3 model.safetensors .
take "$llama"; printf 'x' >>"$work/bad/model.safetensors"; logits 3 model.safetensors .
take "$llama"; printf '\377\377\377\377\377\377\377\177' | dd of="$work/bad/model.safetensors" conv=notrunc status=none
logits 3 model.safetensors .
take "$llama"; LC_ALL=C sed -i 's/"F32"/"F99"/' "$work/bad/model.safetensors"; logits 3 model.safetensors F99
take tests/golden/models/llama-sharded; rm "$work/bad/model-00002-of-00003.safetensors"; logits 3 model-00002-of-00003 .
take tests/golden/models/llama-sharded; edit model.safetensors.index.json 's#"model-00001-of#"../model-00001-of#'
logits 3 index.json '\.\./model'

# ---- Models: another family
gpt2=tests/golden/models/gpt2
take "$gpt2"; edit config.json 's/"n_head": 4/"n_head": 5/'; logits 3 config.json 'n_embd|heads'
take "$gpt2"; edit config.json 's/"n_layer": 2/"n_layer": 3/'; logits 3 transformer.h.2 missing
take "$gpt2"; edit config.json 's/"n_inner": 64/"n_inner": null/'; logits 3 mlp.c_fc '\[32, 128\]'
take "$gpt2"; edit config.json 's/"n_positions": 32/"n_positions": 33/'; logits 3 transformer.wpe '\[33, 32\]'
take "$gpt2"; edit config.json 's/"n_positions": 32,//'; logits 3 config.json n_positions
take "$gpt2"; edit config.json 's/"activation_function": "gelu_new"/"activation_function": "relu"/'; logits 2 activation_function relu
take "$gpt2"; edit config.json 's/"scale_attn_weights": true/"scale_attn_weights": "yes"/'; logits 3 config.json scale_attn_weights
take "$gpt2"; edit config.json 's/"scale_attn_weights": true/"scale_attn_weights": false/'
expect 2 bad scale_attn_weights export -m "$work/bad" --to gguf -o "$work/o.gguf"; missing "$work/o.gguf"
take "$gpt2"; expect 2 bad 'learned positions' logits -m "$work/bad" --ids "$(seq -s, 1 33)" -o "$work/o.safetensors"
take "$gpt2"; expect 3 lora_A 'another base model' logits -m "$work/bad" --adapter "$adapter" --ids 1,2 -o "$work/o.safetensors"
printf '{"input_ids": [1, 2, 3]}\n' >"$work/ids.jsonl"
expect 2 max_seq_length 'at most 32' train -m "$gpt2" --data "$work/ids.jsonl" --max-seq-length 64 -o "$work/o"
expect 2 transformer.ln_f 'linear layers and embeddings' train -m "$gpt2" --data "$work/ids.jsonl" --target-modules ln_f -o "$work/o"

# ---- Models: GGUF
take "$gguf"; truncate -s 100 "$work/bad"; logits 3 bad .
take "$gguf"; printf 'GGML' | dd of="$work/bad" conv=notrunc status=none; logits 3 bad .
take "$gguf"; printf '\011' | dd of="$work/bad" bs=1 seek=4 conv=notrunc status=none; logits 3 bad version
take "$gguf"; printf '\377\377\377\377' | dd of="$work/bad" bs=1 seek=8 conv=notrunc status=none; logits 3 bad .
take "$gguf"; truncate -s -64 "$work/bad"; logits 3 bad .
: >"$work/empty.gguf"; expect 3 empty.gguf . logits -m "$work/empty.gguf" --ids 1 -o "$work/o.safetensors"
expect 3 nowhere 'no such model' logits -m "$work/nowhere" --ids 1 -o "$work/o.safetensors"
expect 3 ids 'vocabulary' logits -m "$llama" --ids 1,70 -o "$work/o.safetensors"

# ---- Adapters
use() { expect "$1" "$2" "$3" logits -m "$llama" --adapter "$work/bad" --ids 1,2,3 -o "$work/o.safetensors"; }
take "$adapter"; rm "$work/bad/adapter_config.json"; use 3 adapter_config.json .
take "$adapter"; rm "$work/bad/adapter_model.safetensors"; use 3 adapter_model.safetensors .
take "$adapter"; edit adapter_config.json 's/"r": 4/"r": 0/'; use 3 adapter_config.json '[( ]r[;) ]'
take "$adapter"; edit adapter_config.json 's/"r": 4/"r": 5/'; use 3 lora_A '\[4, 24\]'
take "$adapter"; edit adapter_config.json 's/"peft_type": "LORA"/"peft_type": "LOHA"/'; use 2 adapter_config.json LOHA
take "$adapter"; edit adapter_config.json 's/"use_dora": false/"use_dora": true/'; use 3 adapter_model.safetensors lora_magnitude_vector
take "$adapter"; edit adapter_config.json 's/"lora_alpha": 8/"lora_alpha": "eight"/'; use 3 adapter_config.json lora_alpha
take "$adapter"; edit adapter_config.json 's/"v_proj"/"k_proj"/'; use 3 v_proj target_modules
take "$adapter"; LC_ALL=C sed -i 's/layers.1.self_attn.q_proj/layers.7.self_attn.q_proj/g' "$work/bad/adapter_model.safetensors"
use 3 layers.7 'does not have'
take "$adapter"; truncate -s -3 "$work/bad/adapter_model.safetensors"; use 3 adapter_model.safetensors .

# ---- Adapters: other formats
formats=tests/golden/formats
take tests/golden/hostile/command; use 3 adapter_model.bin 'posix.system'; missing executed
take tests/golden/hostile/nan; use 3 lora_A 'found nan at \[0, 1\]'
take "$formats/qv-legacy"; use 3 adapter_model.bin 'old PyTorch'
take "$formats/qv-bin"; truncate -s -30 "$work/bad/adapter_model.bin"; use 3 adapter_model.bin 'zip archive'
take "$formats/qv-bin"; LC_ALL=C sed -i 's/_rebuild_tensor_v2/_rebuild_Tensor_v2/' "$work/bad/adapter_model.bin"
use 3 adapter_model.bin '_rebuild_Tensor_v2'
take "$formats/qv-bin"; LC_ALL=C sed -i 's/layers.1.self_attn.q_proj/layers.7.self_attn.q_proj/g' "$work/bad/adapter_model.bin"
use 3 layers.7 'does not have'
take "$formats/qv-bin"; edit adapter_config.json 's/"r": 4/"r": 5/'; use 3 lora_A '\[4, 24\]'
take "$formats/qv-mlx"; rm "$work/bad/adapter_config.json"; use 3 adapter_config.json .
take "$formats/qv-mlx"; edit adapter_config.json 's/"lora_parameters"/"parameters"/'; use 3 adapter_config.json lora_parameters
take "$formats/qv-mlx"; edit adapter_config.json 's/"fine_tune_type": "lora"/"fine_tune_type": "dora"/'; use 3 lora_magnitude_vector missing
take "$formats/qv-mlx"; edit adapter_config.json 's/"rank": 4/"rank": 3/'; use 3 adapters.safetensors '\[24, 4\]'
take "$formats/qv-mlx"; edit adapter_config.json 's/"scale": 2.0/"scale": 0/'; use 3 adapter_config.json scale
take "$formats/qv-mlx"; LC_ALL=C sed -i 's/layers.1.self_attn.q_proj.lora_a/layers.9.self_attn.q_proj.lora_a/' "$work/bad/adapters.safetensors"
use 3 adapters.safetensors 'half of a LoRA pair'
take "$formats/qv-mlx"; LC_ALL=C sed -i 's/q_proj.lora_a/q_proj.lora_m/' "$work/bad/adapters.safetensors"; use 3 adapters.safetensors lora_m
take "$formats/qv-gguf.gguf"; LC_ALL=C sed -i 's/blk.1.attn_v/blk.7.attn_v/g' "$work/bad"; use 3 blk.7 'does not have'
take "$formats/qv-gguf.gguf"; LC_ALL=C sed -i 's/blk.1.attn_v.weight.lora_a/blk.7.attn_v.weight.lora_a/' "$work/bad"; use 3 bad 'half of a LoRA pair'
take "$formats/qv-gguf.gguf"; truncate -s -64 "$work/bad"; use 3 bad incomplete
expect 3 general.type 'adapter' logits -m "$llama" --adapter "$gguf" --ids 1 -o "$work/o.safetensors"
expect 3 README.md 'not an adapter' logits -m "$llama" --adapter README.md --ids 1 -o "$work/o.safetensors"

# ---- Adapters: combining and extracting
combine() { expect "$1" "$2" "$3" merge --method "${@:4}" -o "$work/o"; }
layers=tests/golden/adapters/layers head=tests/golden/adapters/head
combine 2 method 'Did you mean ties_svd' ties_sv --adapter "$adapter"
combine 2 density 'needs a density' dare_ties --adapter "$adapter" --adapter "$adapter"
combine 2 density '0 to 1' ties --density 1.01 --adapter "$adapter" --adapter "$adapter"
combine 2 density 'density of 0 ' ties --density 0 --adapter "$adapter" --adapter "$adapter"
combine 2 density 'does not use' cat --density 0.5 --adapter "$adapter" --adapter "$adapter"
combine 2 svd-rank 'does not use' linear --svd-rank 4 --adapter "$adapter" --adapter "$adapter"
combine 2 svd-clamp 'does not use' ties --density 1 --svd-clamp 0.9 --adapter "$adapter" --adapter "$adapter"
combine 2 majority-sign 'does not use' svd --majority-sign frequency --adapter "$adapter" --adapter "$adapter"
combine 2 adapter 'needs the adapters' svd
combine 2 outtype f32 svd --outtype bf16 --adapter "$adapter"
combine 2 v_proj 'cat or svd' linear --adapter "$adapter" --adapter "$layers"
combine 2 lm_head.base_layer.weight 'more than pairs' cat --adapter "$adapter" --adapter "$head"
combine 2 qv-gguf.gguf 'with -m' cat --adapter "$adapter" --adapter "$formats/qv-gguf.gguf"
combine 2 merged.pt loralib cat --adapter tests/golden/loralib/merged.pt
combine 3 nowhere 'not an adapter' cat --adapter "$adapter" --adapter "$work/nowhere:0.5"
combine 3 lora_A 'holds nan' svd --adapter "$adapter" --adapter tests/golden/hostile/nan
combine 3 c_attn 'another base model' cat -m "$llama" --adapter tests/golden/adapters/gpt2-default
take "$adapter"; edit adapter_config.json 's/"r": 4/"r": 5/'; combine 3 lora_A 'A \[4, 24\]' cat --adapter "$adapter" --adapter "$work/bad"
take "$adapter"; edit adapter_config.json 's/"v_proj"/"k_proj"/'; combine 3 v_proj target_modules cat --adapter "$work/bad"
take "$adapter"; LC_ALL=C sed -i 's/v_proj.lora_B/v_proj.lora_C/' "$work/bad/adapter_model.safetensors"
combine 2 lora_C 'more than pairs' cat --adapter "$work/bad"
take "$adapter"; LC_ALL=C sed -i 's/"base_model.model.model.layers.1.self_attn.v_proj.lora_B/"base_model.model.model.layers.9.self_attn.v_proj.lora_B/' \
    "$work/bad/adapter_model.safetensors"
combine 3 lora_ 'half of a LoRA pair' cat --adapter "$work/bad"
expect 2 density 'needs --method' merge -m "$llama" --adapter "$adapter" --density 0.5 -o "$work/o"
expect 2 folder gguf-adapter merge --method cat --adapter "$adapter" -o "$work/o.gguf"
extract() { expect "$1" "$2" "$3" extract "${@:4}" -o "$work/o"; }
extract 2 rank 'one of the two' --adapter "$adapter"
extract 2 rank 'one of the two' --adapter "$adapter" --rank 2 --energy 0.9
extract 2 energy '0 to 1' --adapter "$adapter" --energy 1.5
extract 2 energy 'either|cut by' --adapter "$adapter" --energy 0
extract 2 tuned 'needs' -m "$llama" --rank 2
extract 2 tuned 'needs' -m "$llama" --tuned "$llama" --adapter "$adapter" --rank 2
extract 2 adapter 'without a weight' --adapter "$adapter:0.5" --rank 2
extract 2 target 'all its modules' --adapter "$adapter" --rank 2 --target-modules q_proj
extract 2 model 'say which model' --tuned "$llama" --rank 2
extract 3 llama 'same model' -m "$llama" --tuned "$llama" --rank 2
extract 3 gpt2 'same layers' -m "$llama" --tuned "$gpt2" --rank 2
extract 3 nowhere 'no such model' -m "$llama" --tuned "$work/nowhere" --rank 2
extract 3 nowhere 'not an adapter' --adapter "$work/nowhere" --rank 2

# ---- Tokenizer, template, rows
take "$tiny"; printf '{' >"$work/bad/tokenizer.json"; expect 3 tokenizer.json . tokenize -m "$work/bad" -p x
take "$tiny"; edit tokenizer.json 's/"type": *"BPE"/"type": "Oracle"/'; expect 3 tokenizer.json Oracle tokenize -m "$work/bad" -p x
printf '{"messages":[{"role":"user","content":"x"}]}' >"$work/messages.json"
printf 'line one\n{%% frobnicate %%}' >"$work/template.jinja"
expect 3 'template.jinja:2' frobnicate template -m "$tiny" --chat-template "$work/template.jinja" --messages "$work/messages.json"
printf '{{ messages[0].content | sparkle }}' >"$work/template.jinja"
expect 3 'template.jinja:1' sparkle template -m "$tiny" --chat-template "$work/template.jinja" --messages "$work/messages.json"
printf '{%% for i in range(1000000000) %%}{{ i }}{%% endfor %%}' >"$work/template.jinja"
expect 3 'template.jinja' . template -m "$tiny" --chat-template "$work/template.jinja" --messages "$work/messages.json"

row() { printf '{"text":"good"}\n%s\n' "$3" >"$work/rows.jsonl"
    expect 3 'rows.jsonl:2' "$2" train -m "$tiny" --data "$work/rows.jsonl" -o "$work/o" --steps 1; }
row 3 . '{"text":"unfinished'
row 3 . '[1,2,3]'
row 3 . '{"question":"x","answer":"y"}'
row 3 . '{"text":7}'
row 3 . '{"input_ids":[1,2,99999]}'
row 3 . '{"input_ids":[1,2,3],"labels":[1,2]}'
row 3 . '{"messages":[{"role":"user"}]}'
row 3 trained '{"input_ids":[1,2,3],"labels":[-100,-100,-100]}'
row 3 . "$(printf '{"text":"\xff\xfe"}')"
printf 'prompt,completion\n"a","b\n' >"$work/rows.csv"
expect 3 'rows.csv' . train -m "$tiny" --data "$work/rows.csv" -o "$work/o" --steps 1
: >"$work/rows.jsonl"; expect 3 rows.jsonl . train -m "$tiny" --data "$work/rows.jsonl" -o "$work/o" --steps 1

# ---- Configuration of a run
printf '{"text":"good"}\n' >"$work/rows.jsonl"
configure() { expect "$1" "$2" "$3" train -m "$tiny" --data "$work/rows.jsonl" -o "$work/o" --steps 1 "${@:4}"; }
configure 2 learning . --learning-rat 1
configure 2 rank . --rank 0
configure 2 rank . --rank many
configure 2 target . --target-modules no_such_proj
configure 2 target . --target-modules '(unclosed'
printf 'rank: 8\nlearning_rat: 1\n' >"$work/run.yaml"; configure 2 'run.yaml:2' learning-rate -c "$work/run.yaml"
printf 'rank: [8\n' >"$work/run.yaml"; configure 2 run.yaml . -c "$work/run.yaml"

echo "$tried malformed inputs"
[ "$tried" -ge 115 ] || fail "only $tried inputs were tried"
finish
