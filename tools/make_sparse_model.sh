#!/bin/bash
# Writes a model folder with the shapes of facebook/opt-350m and no data: model.safetensors is a hole of 1.3 GB that takes a few
# kilobytes on disk. For whoever counts parameters.
#
#     tools/make_sparse_model.sh FOLDER
set -eu
folder=$1
layers=24 hidden=1024 ffn=4096 vocabulary=50272 projected=512 positions=2050
mkdir -p "$folder"

header='{"__metadata__":{"format":"pt"}' offset=0

# tensor NAME ROWS [COLUMNS]: of f32
tensor() {
    local next=$((offset + 4 * $2 * ${3:-1}))
    header+=",\"$1\":{\"dtype\":\"F32\",\"shape\":[$2${3:+,$3}],\"data_offsets\":[$offset,$next]}"
    offset=$next
}

# linear NAME OUT IN: with a bias
linear() {
    tensor "$1.weight" "$2" "$3"
    tensor "$1.bias" "$2"
}

# norm NAME
norm() {
    tensor "$1.weight" $hidden
    tensor "$1.bias" $hidden
}

decoder=model.decoder
tensor $decoder.embed_tokens.weight $vocabulary $projected
tensor $decoder.embed_positions.weight $positions $hidden
tensor $decoder.project_in.weight $hidden $projected
tensor $decoder.project_out.weight $projected $hidden
for ((i = 0; i < layers; i++)); do
    for name in q_proj k_proj v_proj out_proj; do
        linear $decoder.layers.$i.self_attn.$name $hidden $hidden
    done
    norm $decoder.layers.$i.self_attn_layer_norm
    linear $decoder.layers.$i.fc1 $ffn $hidden
    linear $decoder.layers.$i.fc2 $hidden $ffn
    norm $decoder.layers.$i.final_layer_norm
done
header+='}'
while ((${#header} % 8)); do header+=' '; done

# The header's length, eight bytes, the lowest first.
length=''
for ((i = 0; i < 8; i++)); do
    length+=$(printf '\\x%02x' $((${#header} >> (8 * i) & 255)))
done
{
    printf '%b' "$length"
    printf '%s' "$header"
} >"$folder/model.safetensors"
truncate -s $((8 + ${#header} + offset)) "$folder/model.safetensors"

cat >"$folder/config.json" <<JSON
{
  "architectures": ["OPTForCausalLM"],
  "model_type": "opt",
  "num_hidden_layers": $layers,
  "hidden_size": $hidden,
  "ffn_dim": $ffn,
  "vocab_size": $vocabulary,
  "word_embed_proj_dim": $projected,
  "max_position_embeddings": 2048,
  "do_layer_norm_before": false
}
JSON
