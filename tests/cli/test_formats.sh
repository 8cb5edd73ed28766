#!/bin/bash
# Adapters from and to other formats, sharded models, and counts from shapes: lorac import, export, merge and inspect, and forty ways to
# get them wrong.
set -uo pipefail
# shellcheck source=tests/cli/common.bash
. "$(dirname "$0")/common.bash"

llama=tests/golden/models/llama adapters=tests/golden/adapters formats=tests/golden/formats
merged=tests/golden/loralib/merged.pt mnli=../shared/data/loralib/roberta_base_lora_mnli.bin
tensors=adapter_model.safetensors

# ---- There and back, to the byte
for name in qv all-linear rslora layers; do
    run 0 export -m "$llama" --adapter "$adapters/$name" --to mlx -o "$work/$name-mlx"
    run 0 import "$work/$name-mlx" -o "$work/$name-back"
    same "$adapters/$name/$tensors" "$work/$name-back/$tensors"
    run 0 export -m "$llama" --adapter "$adapters/$name" --to peft -o "$work/$name-peft"
    same "$adapters/$name/$tensors" "$work/$name-peft/$tensors"
done
for name in qv all-linear layers; do
    run 0 export -m "$llama" --adapter "$adapters/$name" --to gguf-adapter -o "$work/$name.gguf"
    run 0 import "$work/$name.gguf" -m "$llama" -o "$work/$name-from-gguf"
    same "$adapters/$name/$tensors" "$work/$name-from-gguf/$tensors"
done
run 0 import "$formats/qv-bin" -o "$work/from-bin" --json
json_keys output
same "$adapters/qv/$tensors" "$work/from-bin/$tensors"
run 0 export -m tests/golden/models/gpt2 --adapter "$adapters/gpt2-default" --to mlx -o "$work/gpt2-mlx"
grep -aq '"model.h.0.attn.c_attn.lora_a"' "$work/gpt2-mlx/adapters.safetensors" || fail "GPT-2's names are not mlx-lm's"
run 0 import "$work/gpt2-mlx" -m tests/golden/models/gpt2 -o "$work/gpt2-back"
same "$adapters/gpt2-default/$tensors" "$work/gpt2-back/$tensors"

# What changes on the way computes the same.
logits() { run 0 logits -m "$llama" --adapter "$1" --ids 1,2,3 --dtype f32 -o "$2"; }
run 0 export -m "$llama" --adapter "$adapters/patterns" --to mlx -o "$work/patterns-mlx"
run 0 import "$work/patterns-mlx" -o "$work/patterns-back"
logits "$work/patterns-mlx" "$work/a.safetensors"
logits "$work/patterns-back" "$work/b.safetensors"
same "$work/a.safetensors" "$work/b.safetensors"

# ---- DoRA
printf '{"input_ids":[1,2,3,4]}\n' >"$work/rows.jsonl"
printf '{"r":2,"use_dora":true,"target_modules":["q_proj","up_proj"]}' >"$work/dora.json"
run 0 train -m "$llama" --data "$work/rows.jsonl" --steps 3 --lr 0.05 --peft-config "$work/dora.json" -o "$work/dora"
run 0 export -m "$llama" --adapter "$work/dora" --to mlx -o "$work/dora-mlx"
grep -q '"fine_tune_type": "dora"' "$work/dora-mlx/adapter_config.json" || fail "not a DoRA"
run 0 import "$work/dora-mlx" -o "$work/dora-back"
same "$work/dora/$tensors" "$work/dora-back/$tensors"
run 0 inspect "$work/dora" --json
out_has '"magnitude":true'
out_has '"other_tensors":\[\]'
run 2 export -m "$llama" --adapter "$work/dora" --to gguf-adapter -o "$work/dora.gguf"
err_has 'LoRA factors'

# ---- loralib
run 2 import "$merged" -o "$work/merged"
err_has -- '--alpha'
run 0 import "$merged" --alpha 16 -o "$work/merged"
err_has 'query and value'
err_has 'classifier is kept'
run 0 import "$merged" --alpha 16 --enable-lora true,true,false -o "$work/merged" --overwrite
run 0 inspect "$work/merged"
out_has '^modules to save +classifier'
if [ -r "$mnli" ]; then
    run 0 import "$mnli" --alpha 16 -o "$work/mnli"
    grep -aq '"base_model.model.roberta.encoder.layer.7.attention.self.query.lora_A.weight"' "$work/mnli/$tensors" || fail "not PEFT's names"
    run 0 inspect "$work/mnli" --json
    out_has '"parameters":887811'
else
    echo "SKIPPED: $mnli is not there"
fi

# ---- inspect
run 0 inspect "$adapters/qv" --json
json_keys kind format rank alpha target_modules modules norm_by_layer parameters finite zero_modules
out_has '"zero_modules":0'
run 0 inspect tests/golden/hostile/nan --json
out_has '"finite":false'
run 0 train -m "$llama" --data "$work/rows.jsonl" --steps 0 -o "$work/young" --target-modules q_proj
run 0 inspect "$work/young" --json
out_has '"zero_modules":2'

# ---- Counts from shapes alone
tools/make_sparse_model.sh "$work/opt"
printf '{"peft_type":"LORA","r":16,"lora_alpha":32,"target_modules":["q_proj","v_proj","embed_tokens"]}' >"$work/config.json"
run 0 inspect "$work/opt" --peft-config "$work/config.json"
out_has '^trainable params: 2,385,408 \|\| all params: 333,581,824 \|\| trainable%: 0\.7151$'
run 0 inspect "$work/opt" --peft-config "$work/config.json" --json
out_has '"trainable_parameters":2385408,"all_parameters":333581824'
out_has '"family":"opt"'
run 2 logits -m "$work/opt" --ids 1 -o "$work/o.safetensors"
err_has OPTForCausalLM

# ---- Shards
run 0 merge -m "$llama" --adapter "$adapters/qv" -o "$work/whole" --dtype f32
run 0 merge -m "$llama" --adapter "$adapters/qv" -o "$work/shards" --dtype f32 --max-shard-size 10KB
exists "$work/shards/model.safetensors.index.json"
missing "$work/shards/model.safetensors"
for file in "$work"/shards/model-*; do
    [ "$(stat -c %s "$file")" -lt 13000 ] || fail "$file is larger than a shard"
done
ids=(--ids '1,2,3' --dtype f32)
run 0 logits -m "$work/whole" "${ids[@]}" -o "$work/a.safetensors"
run 0 logits -m "$work/shards" "${ids[@]}" -o "$work/b.safetensors"
same "$work/a.safetensors" "$work/b.safetensors"

# ---- Refused
tried=0
refuse() {
    tried=$((tried + 1))
    run "$1" "${@:3}" -o "$work/o"
    err_has "$2"
    missing "$work/o"
}
bad=$work/bad
take() { rm -rf "$bad"; cp -r "$1" "$bad"; }
cut() { LC_ALL=C sed -i "$2" "$bad/$1"; }

refuse 3 'not an adapter' import README.md
refuse 3 nowhere import "$work/nowhere"
refuse 2 alpha import "$merged"
refuse 2 'says itself' import "$adapters/qv" --alpha 4
refuse 2 alpha import "$merged" --alpha 0
refuse 2 alpha import "$merged" --alpha much
refuse 2 'which parts' import "$merged" --alpha 8 --enable-lora yes
refuse 2 'no part' import "$merged" --alpha 8 --enable-lora false,false
refuse 2 'of loralib' import "$adapters/qv" --enable-lora true
refuse 2 'base model' import "$formats/qv-gguf.gguf"
refuse 3 'another architecture' import "$formats/qv-gguf.gguf" -m tests/golden/models/gpt2
refuse 3 'does not have' import "$adapters/qv" -m tests/golden/models/gpt2
refuse 3 'not a number' import tests/golden/hostile/nan
refuse 3 'posix.system' import tests/golden/hostile/command
take "$adapters/qv"; cut $tensors 's/layers.1.self_attn.q_proj.lora_A/layers.9.self_attn.q_proj.lora_A/'; refuse 3 'half of a LoRA pair' import "$bad"
take "$adapters/qv"; cut $tensors 's/layers.1.self_attn.q_proj.lora/layers.9.self_attn.q_proj.lora/g'; refuse 3 'does not have' import "$bad" -m "$llama"
take "$adapters/qv"; cut $tensors 's/"F32"/"I32"/'; refuse 3 I32 import "$bad"
take "$adapters/qv"; cut $tensors 's/"shape":\[4,24\]/"shape":[24,4]/'; refuse 3 'do not fit' import "$bad"
take "$adapters/qv"; truncate -s -3 "$bad/$tensors"; refuse 3 $tensors import "$bad"
take "$formats/qv-mlx"; cut adapter_config.json 's/"rank": 4/"rank": 40/'; refuse 3 '\[24, 4\]' import "$bad"
take "$formats/qv-mlx"; cut adapter_config.json 's/"model": "llama"/"model": 7/'; refuse 3 model import "$bad"
take "$formats/qv-mlx"; cut adapters.safetensors 's/q_proj.lora_a/q_proj.lora_m/'; refuse 3 lora_m import "$bad"
take "$work/dora-mlx"; cut adapters.safetensors 's/layers.1.mlp.up_proj.m/layers.7.mlp.up_proj.m/'; refuse 3 'layers.7' import "$bad" -m "$llama"
refuse 2 'one --adapter' export -m "$llama" --to mlx
refuse 2 'without a weight' export -m "$llama" --adapter "$adapters/qv:0.5" --to mlx
refuse 2 'names' export --adapter "$adapters/qv" --to mlx
refuse 2 to export -m "$llama" --adapter "$adapters/qv" --to onnx
refuse 2 'loralib' export -m "$llama" --adapter "$merged" --to mlx
refuse 2 'ends in .gguf' export -m "$llama" --adapter "$adapters/qv" --to gguf-adapter
refuse 2 'max-shard-size' merge -m "$llama" --max-shard-size 5XB
refuse 2 'max-shard-size' merge -m "$llama" --max-shard-size -5GB
refuse 2 'max-shard-size' merge -m "$llama" --max-shard-size 0
run 2 merge -m "$llama" -o "$work/o.gguf" --max-shard-size 5GB
err_has shards
run 2 import "$adapters/qv"
run 2 import -o "$work/o"
mkdir "$work/taken" && : >"$work/taken/file"
run 2 import "$adapters/qv" -o "$work/taken"
err_has overwrite

take "$work/opt"; printf '[]' >"$bad/config.json"; run 3 inspect "$bad"; err_has config.json
take "$work/opt"; cut config.json 's/"opt"/7/'; run 3 inspect "$bad"; err_has model_type
take "$work/opt"; truncate -s -1 "$bad/model.safetensors"; run 3 inspect "$bad"; err_has model.safetensors
take "$work/opt"; rm "$bad/model.safetensors"; run 3 inspect "$bad"; err_has 'no weights'
printf '{"target_modules":["nothing"]}' >"$work/config.json"
run 2 inspect "$work/opt" --peft-config "$work/config.json"; err_has 'match no module'
printf '{"r":0}' >"$work/config.json"
run 3 inspect "$work/opt" --peft-config "$work/config.json"; err_has '\br\b'

[ "$tried" -ge 30 ] || fail "only $tried inputs were tried"
finish
